"""Writes that keep `frames` and `references` consistent.

Frames are written before their reference and removed after it. An interruption leaves frames
without a reference, which are never visible. Frames have the time of their registration, so
concurrent writers of one id remove only their own. Callers hold the store's lock.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace

import lancedb
from lancedb.table import Table

from dubl.index import predicates
from dubl.index.reading import VALUES_PER_QUERY, chunks, existing
from dubl.index.rows import (
    NewReference,
    audio_frames_table,
    frames_table,
    references_table,
    sound_row,
)
from dubl.index.schema import REFERENCES
from dubl.index.tables import Tables, committed, is_folder
from dubl.types import FeatureSpec, Reference, ReferenceDraft, SoundFeatures

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

    def find(self, draft: ReferenceDraft | Reference, sha256: str) -> Reference | None:
        """The reference with the draft's id or bytes.

        Of two with the same bytes it is the first: the second is being withdrawn by its writer.
        """
        known = self._by_id.get(draft.id)
        if known is not None:
            return self._by_bytes.get((known.library, known.sha256), known)
        return self._by_bytes.get((draft.library, sha256))


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
    add_frames(tables, items, spec)
    merge = tables.references.merge_insert("id").when_not_matched_insert_all()
    # If it searches an index for the keys, Lance 13 does not see that another process inserts the
    # same ones at the same time. Without it, it reads the ids of all references.
    merge = merge.use_index(is_folder(uri))
    rows = references_table(items, spec)
    result = committed(tables.references, lambda: merge.execute(rows))
    ours = [item.reference for item in items]
    theirs = {} if is_folder(uri) else _give_way(tables, ours, _before(tables, uri, result.version))
    _drop_older_frames(tables, [one for one in ours if one.id not in theirs])
    _drop_repeated_frames(tables, [item.reference for item in items if item.copied])
    return theirs


def add_frames(tables: Tables, items: Sequence[NewReference], spec: FeatureSpec) -> None:
    """Writes the rows of the searched tables; they are visible once their reference is."""
    tables.frames.add(frames_table(items, spec))
    if tables.audio_frames is None:
        return
    rows = audio_frames_table(
        [(one.reference, one.features.sound) for one in items], tables.audio_frames.schema
    )
    if rows.num_rows:
        tables.audio_frames.add(rows)


def add_sound(tables: Tables, reference: Reference, sound: SoundFeatures) -> bool:
    """Adds the sound of a reference that was registered without; False if it was deleted."""
    assert tables.audio_frames is not None
    _delete_rows(tables.audio_frames, predicates.of_times("reference_id", [frames_of(reference)]))
    rows = audio_frames_table([(reference, sound)], tables.audio_frames.schema)
    if rows.num_rows:
        tables.audio_frames.add(rows)
    return change_row(tables, reference, sound_row(sound))


def _before(tables: Tables, uri: str, version: int) -> Tables:
    """The tables with `references` as they were before a commit."""
    table = lancedb.connect(uri).open_table(REFERENCES)
    table.checkout(version - 1)
    return replace(tables, references=table)


def _give_way(tables: Tables, ours: Sequence[Reference], before: Tables) -> dict[str, Reference]:
    """Removes those of our registrations that came second.

    Returns the references with the same id or the same bytes that were there before our commit, by
    our ids. Only rows with our time are removed: meanwhile an id may belong to a later registration
    of another writer.
    """
    sums = {one.sha256 for one in ours} - {""}
    known = KnownReferences(existing(before, ids={one.id for one in ours}, sha256s=sums))
    found = {one.id: known.find(one, one.sha256) for one in ours}
    mine = set(map(frames_of, ours))
    # References copied from another feature space have the same time in both registrations.
    theirs = {
        name: there
        for name, there in found.items()
        if there is not None and frames_of(there) not in mine
    }
    if theirs:
        logger.warning("another writer registered %d references first", len(theirs))
        late = [frames_of(one) for one in ours if one.id in theirs]
        for chunk in chunks(late, VALUES_PER_QUERY):
            _delete(tables.references, predicates.of_times("id", chunk))
        drop_frames(tables, late)
    return theirs


def frames_of(reference: Reference) -> FramesOf:
    return reference.id, reference.created_at


def drop_frames(tables: Tables, those: Iterable[FramesOf]) -> int:
    """Removes the frames of these registrations; returns their number.

    Another writer's frames of the same id have another time and stay.
    """
    dropped = 0
    for chunk in chunks(those, VALUES_PER_QUERY):
        dropped += _delete_frames(tables, predicates.of_times("reference_id", chunk))
    return dropped


def _drop_older_frames(tables: Tables, ours: Iterable[Reference]) -> None:
    """Removes frames under our ids of registrations that were interrupted or withdrawn before.

    Later ones may belong to a writer that registers an id after we are deleted.
    """
    for chunk in chunks(map(frames_of, ours), VALUES_PER_QUERY):
        ids, times = zip(*chunk, strict=True)
        older = f"created_at < {predicates.quoted(min(times))}"
        _delete_frames(tables, predicates.all_of([predicates.among("reference_id", ids), older]))


def _drop_repeated_frames(tables: Tables, copied: Iterable[Reference]) -> None:
    """Leaves one frame for each instant of these registrations.

    A reference copied from another feature space has one time in all its registrations: those of
    two writers, and one that was interrupted and done again. Row ids are never used again, so a
    row that was compacted meanwhile is not deleted but found once more.
    """
    for chunk in chunks(map(frames_of, copied), VALUES_PER_QUERY):
        where = predicates.of_times("reference_id", chunk)
        for table in tables.searched:
            while repeated := _repeated_frames(table, where):
                for rows in chunks(repeated, VALUES_PER_QUERY):
                    among = f"_rowid IN ({', '.join(map(str, rows))})"
                    _delete(table, predicates.all_of([where, among]))


def _repeated_frames(table: Table, where: str) -> list[int]:
    """Ids of frames of an instant for which there is one with a lower id."""
    query = table.search().where(where).with_row_id(True)
    rows = query.select(["reference_id", "created_at", "time_s"]).to_arrow().sort_by("_rowid")
    instants = zip(*(rows[name].to_pylist() for name in rows.column_names[:3]), strict=True)
    first = dict[tuple[object, ...], int]()
    ids: list[int] = rows["_rowid"].to_pylist()
    return [row for at, row in zip(instants, ids, strict=True) if first.setdefault(at, row) != row]


def _delete_frames(tables: Tables, where: str) -> int:
    return sum(_delete_rows(table, where) for table in tables.searched)


def _delete_rows(table: Table, where: str) -> int:
    """Removes rows and returns their number; commits only if there are any."""
    count = int(table.count_rows(where))
    if count:
        _delete(table, where)
    return count


def _delete(table: Table, where: str) -> None:
    committed(table, lambda: table.delete(where))


def change_row(tables: Tables, reference: Reference, values: dict[str, object]) -> bool:
    """Changes a reference's row; False if it was deleted meanwhile."""
    where = predicates.of_times("id", [frames_of(reference)])
    table = tables.references
    return bool(committed(table, lambda: table.update(where=where, values=values)).rows_updated)


def delete_row(tables: Tables, reference: Reference) -> None:
    _delete(tables.references, predicates.of_times("id", [frames_of(reference)]))
