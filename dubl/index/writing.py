"""Writes that keep `frames` and `references` consistent.

Frames are written before their reference and removed after it. An interruption leaves frames
without a reference, which are never visible. Frames have the time of their registration, so
concurrent writers of one id remove only their own. Callers hold the store's lock.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

import lancedb
from lancedb.table import Table

from dubl.errors import InvalidRequest
from dubl.index import predicates
from dubl.index.reading import VALUES_PER_QUERY, chunks, existing
from dubl.index.rows import NewReference, frames_table, references_table, to_references
from dubl.index.schema import FACT_COLUMNS, REFERENCES
from dubl.index.tables import Tables, committed, is_folder
from dubl.types import FeatureSpec, Reference, ReferenceDraft

logger = logging.getLogger(__name__)

FramesOf = tuple[str, str]  # the reference's id and created_at


class KnownReferences:
    """References by their identity: the id, or the bytes within one library."""

    def __init__(self, references: Iterable[Reference]) -> None:
        self._by_id: dict[str, Reference] = {}
        self._by_bytes: dict[tuple[str, str], Reference] = {}
        for reference in references:
            self.add(reference)

    def add(self, reference: Reference) -> None:
        self._by_id[reference.id] = reference
        if reference.sha256:
            self._by_bytes.setdefault((reference.library, reference.sha256), reference)

    def find(self, draft: ReferenceDraft, sha256: str) -> Reference | None:
        return self._by_id.get(draft.id) or self._by_bytes.get((draft.library, sha256))


def insert(
    tables: Tables, items: Sequence[NewReference], spec: FeatureSpec, *, uri: str
) -> dict[str, Reference]:
    """Writes new references with one commit for each table.

    Returns, by our ids, the references that another writer registered first; those stay. Lance
    refuses a second row with the same id. The same bytes under two ids are found after the commit,
    by reading the table's previous version; the second of two commits is withdrawn. In a folder
    writers wait for each other, so neither happens.
    """
    if not items:
        return {}
    tables.frames.add(frames_table(items, spec))
    merge = tables.references.merge_insert("id").when_not_matched_insert_all()
    rows = references_table(items, spec)
    result = committed(tables.references, lambda: merge.execute(rows))
    theirs: dict[str, Reference] = {}
    if result.num_inserted_rows < len(items):
        theirs = _give_way(tables, [item.reference for item in items])
    ours = [item.reference for item in items if item.reference.id not in theirs]
    _drop_frames_of_others(tables, ours)
    if not is_folder(uri):
        theirs |= _drop_twins(tables, ours, _held_before(uri, ours, result.version))
    return theirs


def _held_before(uri: str, ours: Sequence[Reference], version: int) -> list[Reference]:
    """References with the same bytes as ours, in the previous version."""
    table = lancedb.connect(uri).open_table(REFERENCES)
    table.checkout(version - 1)
    found: list[Reference] = []
    for chunk in chunks({reference.sha256 for reference in ours} - {""}, VALUES_PER_QUERY):
        query = table.search().where(predicates.among("sha256", chunk))
        found += to_references(query.select(list(FACT_COLUMNS)).to_arrow())
    return found


def _drop_twins(
    tables: Tables, ours: Sequence[Reference], earlier: Sequence[Reference]
) -> dict[str, Reference]:
    """Removes our references whose bytes their library already had; returns those by our ids."""
    held = {(reference.library, reference.sha256): reference for reference in earlier}
    late = {
        reference.id: held[reference.library, reference.sha256]
        for reference in ours
        if (reference.library, reference.sha256) in held
    }
    if late:
        logger.warning("another writer registered the bytes of %d references first", len(late))
        for chunk in chunks(late, VALUES_PER_QUERY):
            _delete(tables.references, predicates.among("id", chunk))
        drop_frames(tables, [frames_of(one) for one in ours if one.id in late])
    return late


def _give_way(tables: Tables, items: Sequence[Reference]) -> dict[str, Reference]:
    """Removes our frames of references that others registered first."""
    ours = {item.id: item for item in items}
    theirs = {there.id: there for there in existing(tables, ids=ours) if there != ours[there.id]}
    logger.warning("another writer registered %d references first", len(theirs))
    # References copied from another feature space have the same time in both registrations.
    left = {frames_of(ours[one]) for one in theirs} - {frames_of(one) for one in theirs.values()}
    drop_frames(tables, left)
    return theirs


def frames_of(reference: Reference) -> FramesOf:
    return reference.id, reference.created_at


def drop_frames(tables: Tables, registrations: Iterable[FramesOf]) -> int:
    """Removes the frames of these registrations; returns their number.

    Another writer's frames of the same id have another time and stay.
    """
    dropped = 0
    for chunk in chunks(registrations, VALUES_PER_QUERY):
        ids, times = zip(*chunk, strict=True)
        theirs = [predicates.among("reference_id", ids), predicates.among("created_at", times)]
        dropped += _delete_frames(tables, predicates.all_of(theirs))
    return dropped


def _drop_frames_of_others(tables: Tables, ours: Iterable[Reference]) -> None:
    """Removes frames under our ids of registrations that were interrupted or are withdrawn."""
    for chunk in chunks(map(frames_of, ours), VALUES_PER_QUERY):
        ids, times = zip(*chunk, strict=True)
        others = [predicates.among("reference_id", ids), predicates.not_among("created_at", times)]
        _delete_frames(tables, predicates.all_of(others))


def _delete_frames(tables: Tables, where: str) -> int:
    """Removes frames; commits only if there are any."""
    count = int(tables.frames.count_rows(where))
    if count:
        _delete(tables.frames, where)
    return count


def _delete(table: Table, where: str) -> None:
    committed(table, lambda: table.delete(where))


def move_frames(tables: Tables, reference: Reference, library: str) -> None:
    """Moves a reference's frames to a library. Raises InvalidRequest if it holds these bytes."""
    sums = [reference.sha256] if reference.sha256 else []
    for same in existing(tables, sha256s=sums):
        if same.library == library and same.id != reference.id:
            raise InvalidRequest(
                f"library '{library}' already holds these bytes as reference '{same.id}'"
            )
    where = predicates.equals("reference_id", reference.id)
    tables.frames.update(where=where, values={"library": library})
