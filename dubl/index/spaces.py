"""One library in several feature spaces: their addresses, and writes to all of them.

The first space's tables are at the library's address, those of later ones in `spaces/<id>` below
it. Each space holds all references, with the same facts and times.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import lancedb
import pyarrow as pa
import pyarrow.compute as pc

from dubl.contract.orders import ReferenceChange
from dubl.errors import FeatureSpaceMismatch, ReferenceNotFound
from dubl.index.reading import read_rows
from dubl.index.rows import Entry, same_reference
from dubl.index.schema import REFERENCES, differences
from dubl.index.store import ORPHAN_AGE_S, LibraryStore
from dubl.index.tables import is_folder, store_errors, table_names
from dubl.index.writing import KnownReferences
from dubl.types import (
    FeatureSpec,
    Reference,
    ReferenceDraft,
    Registration,
)

SPACES = "spaces"

Result = TypeVar("Result")


def library_uri(uri: str, spec: FeatureSpec, *, beside: bool) -> str:
    """The address of the tables of this feature space in the library at `uri`.

    A new space starts at `uri` itself, where opening fails if that holds another space. With
    `beside` it starts below. Raises StoreUnavailable.
    """
    if _holds(uri, spec):
        return uri
    beneath = f"{uri.rstrip('/')}/{SPACES}/{spec.space_id}"
    return beneath if beside or _holds(beneath, spec) else uri


def _holds(uri: str, spec: FeatureSpec) -> bool:
    if is_folder(uri) and not Path(uri).is_dir():
        return False  # LanceDB would create it
    with store_errors(f"be looked for at {uri}"):
        connection = lancedb.connect(uri)
        if REFERENCES not in table_names(connection):
            return False
        return not differences(connection.open_table(REFERENCES).schema, spec)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """Number of references in a space, and of those that only other spaces have."""

    references: int
    missing: int


class SpacedLibrary:
    """Writes to all spaces, the first one first; reads from the first.

    A write that was interrupted between two stores is completed when it is repeated. So a deletion
    removes the reference from the first store last. Methods raise as those of LibraryStore.
    """

    def __init__(self, stores: Sequence[LibraryStore]) -> None:
        self.stores: Mapping[str, LibraryStore] = {one.spec.space_id: one for one in stores}
        self.first, *self._others = stores

    @property
    def version(self) -> int:
        """A number that grows with each write."""
        return sum(store.version for store in self.stores.values())

    def register(self, videos: Sequence[Sequence[Entry]]) -> list[Registration]:
        """Registers videos, each given as one entry for each space, in any order.

        Entries for other spaces than the first may be missing. Raises FeatureSpaceMismatch.
        """
        answers = self.first.register([_entry(video, self.first.spec) for video in videos])
        for store in self._others:
            entries = [
                same_reference(answer.reference, entry.features)
                for video, answer in zip(videos, answers, strict=True)
                for entry in video
                if entry.features.spec == store.spec and _is_of(answer.reference, entry)
            ]
            store.register(entries)
        return answers

    def find(self, draft: ReferenceDraft, sha256: str) -> Registration | None:
        """The existing registration of the draft or its bytes, if all spaces have it."""
        found = [store.find(draft, sha256) for store in self.stores.values()]
        return None if None in found else found[0]

    def update(self, reference_id: str, change: ReferenceChange) -> Reference:
        return self._each(lambda store: store.update(reference_id, change))

    def delete(self, reference_id: str) -> None:
        self._each(lambda store: store.delete(reference_id), (*self._others, self.first))

    def holdings(self) -> dict[str, Holding]:
        """By id of the space."""
        ids = self._ids()
        return {
            space_id: Holding(references=len(own), missing=len(_lacked(ids, space_id)))
            for space_id, own in ids.items()
        }

    def missing(self, space_id: str, *, after_id: str, limit: int) -> list[Reference]:
        """References that this space lacks and another one has, sorted by id."""
        lacked = sorted(one for one in _lacked(self._ids(), space_id) if one > after_id)[:limit]
        found: dict[str, Reference] = {}
        for store in self.stores.values():
            found |= {one.id: one for one in store.existing(ids=lacked) if one.id not in found}
        return [found[one] for one in lacked if one in found]

    def _ids(self) -> dict[str, pa.Array]:
        return {
            space_id: read_rows(store.tables, ["id"])["id"].combine_chunks()
            for space_id, store in self.stores.items()
        }

    def optimize(self) -> None:
        for store in self.stores.values():
            store.optimize()

    def delete_orphan_frames(self) -> float:
        """Removes orphan frames; returns the seconds after which to call it again, or infinity."""
        for store in self.stores.values():
            store.delete_orphan_frames()
        left = any(store.has_orphans for store in self.stores.values())
        return ORPHAN_AGE_S if left else math.inf

    def _each(
        self, change: Callable[[LibraryStore], Result], stores: Sequence[LibraryStore] = ()
    ) -> Result:
        """Applies `change` to all stores that have the reference, in this order.

        Raises ReferenceNotFound if none has it.
        """
        results: list[Result] = []
        absent: list[ReferenceNotFound] = []
        for store in stores or self.stores.values():
            try:
                results.append(change(store))
            except ReferenceNotFound as exc:
                absent.append(exc)
        if not results:
            raise absent[0]
        return results[0]


def fill(
    target: LibraryStore, source: LibraryStore, entries: Sequence[Entry]
) -> list[Registration]:
    """Registers videos in the space of `target`, with the facts that `source` holds.

    Videos that `source` lacks, or holds with other bytes, are left out. Changes made in `source` in
    the meantime are repeated in `target`.
    """
    ids = {entry.draft.id for entry in entries}
    known = KnownReferences(
        source.existing(ids=ids, sha256s={entry.source.sha256 for entry in entries} - {""})
    )
    found = [(known.find(entry.draft, entry.source.sha256), entry) for entry in entries]
    held = [(one, entry) for one, entry in found if one is not None and _is_of(one, entry)]
    answers = target.register(
        [same_reference(reference, entry.features) for reference, entry in held]
    )
    _follow(target, source, [reference for reference, _ in held])
    return answers


def _is_of(reference: Reference, entry: Entry) -> bool:
    """Whether the features belong to the reference's bytes; an id may have been used again."""
    return reference.sha256 in ("", entry.source.sha256)


def _follow(target: LibraryStore, source: LibraryStore, written: Sequence[Reference]) -> None:
    """Repeats changes of `source` in `target`.

    A writer changes `source` first and then `target`, where it does not find references that were
    not written yet. So `source` is read again after writing.
    """
    now = {one.id: one for one in source.existing(ids=[one.id for one in written])}
    for before in written:
        after = now.get(before.id)
        with suppress(ReferenceNotFound):
            if after is None or after.created_at != before.created_at:
                target.delete(before.id, created_at=before.created_at)
            elif after != before:
                target.update(after.id, ReferenceChange.of(after))


def _lacked(ids: Mapping[str, pa.Array], space_id: str) -> frozenset[str]:
    own = ids[space_id]
    others = [one for name, one in ids.items() if name != space_id]
    absent = [one.filter(pc.invert(pc.is_in(one, value_set=own))) for one in others]
    return frozenset(reference_id for one in absent for reference_id in one.to_pylist())


def _entry(video: Sequence[Entry], spec: FeatureSpec) -> Entry:
    for entry in video:
        if entry.features.spec == spec:
            return entry
    raise FeatureSpaceMismatch(
        f"'{video[0].draft.id}' has features of {video[0].features.spec.model_id}; the library "
        f"holds those of {spec.model_id}"
    )
