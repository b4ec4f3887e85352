"""Queries over `references`. Only `read_features` reads the features of pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from lancedb.query import ColumnOrdering

from dubl.index import predicates
from dubl.index.rows import to_features, to_references, to_rights, to_sounds
from dubl.index.schema import FACT_COLUMNS, FEATURE_COLUMNS, RIGHTS_COLUMNS, SOUND_COLUMNS
from dubl.index.tables import Tables, store_errors
from dubl.rights.terms import Rights
from dubl.types import (
    FeatureSpec,
    Page,
    PagePosition,
    Reference,
    SoundFeatures,
    SoundSpec,
    VideoFeatures,
)

VALUES_PER_QUERY = 500  # values of one IN list; chosen
FEATURES_PER_QUERY = 16  # references of one read of features; chosen, bounds memory

Key = TypeVar("Key")


def read_rows(tables: Tables, columns: Sequence[str], where: str = "") -> pa.Table:
    """Columns of the references that satisfy `where`; of all references if it is empty."""
    with store_errors("read references"):
        query = tables.references.search().select(list(columns))
        return (query.where(where) if where else query).to_arrow()


def existing(
    tables: Tables, *, ids: Iterable[str] = (), sha256s: Iterable[str] = ()
) -> list[Reference]:
    """References with one of the ids or one of the SHA-256 sums, each once.

    Those with the same sum are in the order of their registration.
    """
    found: dict[str, Reference] = {}
    for column, values in (("sha256", sha256s), ("id", ids)):
        for chunk in chunks(values, VALUES_PER_QUERY):
            rows = read_rows(tables, FACT_COLUMNS, predicates.among(column, chunk))
            found.update((reference.id, reference) for reference in to_references(rows))
    return list(found.values())


def read_features(
    tables: Tables,
    reference_ids: Sequence[str],
    spec: FeatureSpec,
    sound: SoundSpec | None = None,
) -> dict[str, VideoFeatures]:
    """Features by reference id; missing references are left out."""
    features: dict[str, VideoFeatures] = {}
    for chunk in chunks(reference_ids, FEATURES_PER_QUERY):
        rows = read_rows(tables, FEATURE_COLUMNS, predicates.among("id", chunk))
        features.update(to_features(rows, spec, sound))
    return features


def read_sounds(
    tables: Tables, reference_ids: Sequence[str], sound: SoundSpec | None
) -> dict[str, SoundFeatures]:
    """Sounds in one space by reference id; references without one are left out."""
    sounds: dict[str, SoundFeatures] = {}
    if sound is None:
        return sounds
    for chunk in chunks(reference_ids, VALUES_PER_QUERY):
        columns = ["id", "duration_s", *SOUND_COLUMNS]
        rows = read_rows(tables, columns, predicates.among("id", chunk))
        sounds.update(to_sounds(rows, sound))
    return sounds


def read_rights(tables: Tables, reference_ids: Sequence[str]) -> dict[str, Rights]:
    """Rights by reference id; missing references are left out."""
    rights: dict[str, Rights] = {}
    for chunk in chunks(reference_ids, VALUES_PER_QUERY):
        rows = read_rows(tables, ["id", *RIGHTS_COLUMNS], predicates.among("id", chunk))
        rights.update((row["id"], to_rights(row)) for row in rows.to_pylist())
    return rights


def read_page(
    tables: Tables, *, library: str, owner: str, q: str, limit: int, cursor: str
) -> Page[Reference]:
    """A page, newest first; an empty filter matches everything."""
    where = predicates.all_of(
        [
            predicates.equals("library", library) if library else "",
            predicates.equals("owner", owner) if owner else "",
            predicates.contains(("title", "id", "source"), q) if q else "",
            predicates.after(PagePosition.from_cursor(cursor)) if cursor else "",
        ]
    )
    newest_first = [
        ColumnOrdering(column_name="created_at", ascending=False),
        ColumnOrdering(column_name="id", ascending=False),
    ]
    with store_errors("list references"):
        query = tables.references.search().select(list(FACT_COLUMNS))
        query = query.where(where) if where else query
        items = to_references(query.order_by(newest_first).limit(limit + 1).to_arrow())
    if len(items) <= limit:
        return Page(items=tuple(items), next_cursor="")
    last = items[limit - 1]
    position = PagePosition(created_at=last.created_at, id=last.id)
    return Page(items=tuple(items[:limit]), next_cursor=position.cursor)


def created_before(tables: Tables, created_at: str, *, limit: int) -> list[Reference]:
    """At most `limit` references that were registered before `created_at`."""
    where = f"created_at < {predicates.quoted(created_at)}"
    with store_errors("list old references"):
        query = tables.references.search().where(where).select(list(FACT_COLUMNS))
        return to_references(query.limit(limit).to_arrow())


def count_libraries(tables: Tables) -> dict[str, int]:
    """Number of references by library, sorted by name."""
    counts = pc.value_counts(read_rows(tables, ["library"])["library"]).to_pylist()
    return dict(sorted((row["values"], row["counts"]) for row in counts))


def count(tables: Tables, libraries: Sequence[str]) -> int:
    """Number of references in these libraries, or in all: without reading rows, at best."""
    where = predicates.among("library", libraries) if libraries else None
    with store_errors("count references"):
        return int(tables.references.count_rows(where))


def chunks(values: Iterable[Key], size: int) -> Iterator[list[Key]]:
    """The distinct values, in non-empty lists of at most `size`."""
    return batched(dict.fromkeys(values), size)


def batched(items: Iterable[Key], size: int) -> Iterator[list[Key]]:
    """The items, in non-empty lists of at most `size`."""
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch
