"""The library of references, in LanceDB."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from dubl.contract.orders import ReferenceChange
from dubl.errors import FeatureSpaceMismatch, StoreUnavailable, no_reference
from dubl.index import (
    copying,
    failures,
    reading,
    upkeep,
    vector_index,
    writing,
)
from dubl.index.clock import RisingClock
from dubl.index.failures import Failure as Failure
from dubl.index.rows import Entry as Entry
from dubl.index.rows import NewReference, metadata_text, new_reference, rights_row
from dubl.index.tables import (
    SEARCH_CACHES,
    Caches,
    Tables,
    is_folder,
    open_tables,
    store_errors,
    write_lock,
)
from dubl.index.vector_index import IndexEvent
from dubl.rights.terms import Rights
from dubl.settings import IndexSettings
from dubl.types import (
    FeatureSpec,
    IndexHealth,
    Page,
    Reference,
    ReferenceDraft,
    Registration,
    SoundFeatures,
    SoundSpec,
    VideoFeatures,
)

ORPHAN_AGE_S = 3600.0  # chosen; no registration takes longer between its two commits

# Within LibraryStore, `list` is a method.
References = list[Reference]
Registrations = list[Registration]
Failures = list[Failure]


class LibraryStore:
    """References with their features, at a folder or an object-store address.

    Many processes may read and write. Writers of a folder wait for each other; those of an object
    store resolve conflicts after the commit. A handle sees its own writes at once, and those of
    others at most `settings.consistency_interval_s` later. Missing tables are created. Threads may
    share a store. Every method raises StoreUnavailable if the tables cannot be read or written.
    """

    def __init__(
        self,
        uri: str,
        *,
        spec: FeatureSpec,
        sound: SoundSpec | None = None,
        settings: IndexSettings,
        read_only: bool = False,
        caches: Caches = SEARCH_CACHES,
    ) -> None:
        """`sound`: space of sounds; None: without, and sounds of others are not stored.
        `read_only` forbids writing. Raises FeatureSpaceMismatch if the tables have another spec."""
        self.uri = uri
        self.spec = spec
        self.sound = sound
        self._settings = settings
        self._read_only = read_only
        self._clock = RisingClock()
        self._writing = threading.Lock()
        self._orphans: dict[writing.FramesOf, float] = {}  # time of discovery, monotonic seconds
        self._tables = open_tables(
            uri,
            spec=spec,
            sound=sound,
            consistency_interval_s=settings.consistency_interval_s,
            caches=caches,
        )

    @property
    def tables(self) -> Tables:
        """The open handles, for the retriever."""
        return self._tables

    @property
    def version(self) -> int:
        """A number that grows with each write."""
        with store_errors("tell its version"):
            tables = (self._tables.references, *self._tables.searched)
            return sum(int(table.version) for table in tables)

    def register(self, entries: Sequence[Entry]) -> Registrations:
        """Registers many videos with one commit for each table; answers in the order of entries.

        For an existing id, or existing bytes in the same library, the answer is the existing
        reference with `created` false, also within `entries`. Raises FeatureSpaceMismatch.
        """
        self._require_spec(entries)
        with self._write("register references") as tables:
            ids = {entry.draft.id for entry in entries}
            sums = {entry.source.sha256 for entry in entries} - {""}
            known = writing.KnownReferences(reading.existing(tables, ids=ids, sha256s=sums))
            new: dict[str, NewReference] = {}
            answers: Registrations = []
            for entry in entries:
                reference = known.find(entry.draft, entry.source.sha256)
                if reference is None:
                    created_at = entry.created_at or self._clock.next()
                    item = new_reference(self._own(entry), created_at=created_at)
                    new[item.reference.id] = item
                    known.add(item.reference)
                    answers.append(Registration(reference=item.reference, created=True))
                else:
                    answers.append(Registration(reference=reference, created=False))
            theirs = writing.insert(tables, list(new.values()), self.spec, uri=self.uri)
        return [
            Registration(reference=theirs[answer.reference.id], created=False)
            if answer.reference.id in theirs
            else answer
            for answer in answers
        ]

    def add_sounds(self, sounds: Mapping[str, tuple[str, SoundFeatures]]) -> int:
        """Adds sounds to references that were registered without them, by id.

        Each comes with the SHA-256 sum of its file. Returns the number of references that took
        theirs: those of other bytes, and deleted ones, do not. May be repeated.
        """
        if not sounds:
            return 0
        with self._write("add sound") as tables:
            return sum(
                writing.add_sound(tables, reference, sounds[reference.id][1])
                for reference in reading.existing(tables, ids=sounds)
                if reference.sha256 == sounds[reference.id][0]
            )

    def update(self, reference_id: str, change: ReferenceChange) -> Reference:
        """Changes the given fields; rights are replaced as a whole. Raises ReferenceNotFound."""
        values: dict[str, object] = dict(rights_row(change.rights)) if change.rights else {}
        if change.metadata is not None:
            values["metadata"] = metadata_text(change.metadata)
        values |= {k: v for k in ("title", "owner") if (v := getattr(change, k)) is not None}
        with self._write("update a reference") as tables:
            reference = self.get(reference_id)
            if values and not writing.change_row(tables, reference, values):
                raise no_reference(reference_id)
        return self.get(reference_id)

    def delete(self, reference_id: str, *, created_at: str = "") -> None:
        """Removes the reference from every answer; only that of a time if `created_at` is given.

        Raises ReferenceNotFound.
        """
        with self._write("delete a reference") as tables:
            reference = self.get(reference_id)
            if created_at not in ("", reference.created_at):
                raise no_reference(reference_id)
            writing.delete_row(tables, reference)
            writing.drop_frames(tables, [writing.frames_of(reference)])

    def get(self, reference_id: str) -> Reference:
        """Raises ReferenceNotFound."""
        found = self.existing(ids=[reference_id])
        if not found:
            raise no_reference(reference_id)
        return found[0]

    def find(self, draft: ReferenceDraft, sha256: str) -> Registration | None:
        """The registration that already exists for the draft's id or for these bytes."""
        known = writing.KnownReferences(self.existing(ids=[draft.id], sha256s=[sha256]))
        reference = known.find(draft, sha256)
        return None if reference is None else Registration(reference=reference, created=False)

    def existing(self, *, ids: Iterable[str] = (), sha256s: Iterable[str] = ()) -> References:
        """References with one of the ids or one of the SHA-256 sums, each once."""
        return reading.existing(self._tables, ids=ids, sha256s=sha256s)

    def present_ids(self, ids: Iterable[str]) -> frozenset[str]:
        """The ids that exist."""
        return frozenset(reference.id for reference in self.existing(ids=ids))

    def list(
        self,
        *,
        library: str = "",
        owner: str = "",
        q: str = "",
        limit: int = 100,
        cursor: str = "",
    ) -> Page[Reference]:
        """A page, newest first. `q` is searched in title, id and source, ignoring case.

        Raises InvalidRequest for an invalid cursor.
        """
        return reading.read_page(
            self._tables, library=library, owner=owner, q=q, limit=limit, cursor=cursor
        )

    def created_before(self, created_at: str, *, limit: int) -> References:
        """At most `limit` references that were registered before `created_at`."""
        return reading.created_before(self._tables, created_at, limit=limit)

    def libraries(self) -> dict[str, int]:
        """Number of references by library."""
        return reading.count_libraries(self._tables)

    def count(self, libraries: Sequence[str]) -> int:
        """Number of references in these libraries, or in all."""
        return reading.count(self._tables, libraries)

    def read_features(self, reference_ids: Sequence[str]) -> dict[str, VideoFeatures]:
        """Features by reference id; missing references are left out."""
        return reading.read_features(self._tables, reference_ids, self.spec, self.sound)

    def read_sounds(self, reference_ids: Sequence[str]) -> dict[str, SoundFeatures]:
        """Features of the sounds alone, by reference id, of those that were listened to."""
        return reading.read_sounds(self._tables, reference_ids, self.sound)

    def read_rights(self, reference_ids: Sequence[str]) -> dict[str, Rights]:
        """Rights by reference id; missing references are left out."""
        return reading.read_rights(self._tables, reference_ids)

    def record_failures(self, items: Sequence[Failure], *, solved: Iterable[str] = ()) -> None:
        """Records videos that a batch job could not index, and removes `solved` paths."""
        with self._write("record failures") as tables:
            failures.record_failures(tables, items, solved)

    def failures(self) -> Failures:
        return failures.read_failures(self._tables)

    def export_references(self, path: Path) -> int:
        """Copies all references, at one moment, to a Parquet file; returns their number."""
        return copying.export_references(self._tables, path)

    def import_references(self, path: Path) -> int:
        """Imports the references of such a file; may be repeated after an interruption.

        Raises FeatureSpaceMismatch, and StoreUnavailable if the library holds other references.
        """
        with self._write("take references back") as tables:
            if is_folder(self.uri):  # no other writer is active
                writing.drop_frames(tables, upkeep.orphan_frames(tables))
            return copying.import_references(tables, path, self.spec, self.sound)

    def optimize(self, *, full: bool = False, retrain: bool = False) -> None:
        """Compacts files, updates indexes, drops versions older than `settings.keep_versions_s`.

        full: compacts `references` in any case. This removes the bytes of deleted references from
        the disk after that time. retrain: trains the vector index again if the library has
        outgrown it.
        """
        with self._write("optimize") as tables:
            upkeep.optimize_tables(tables, self._settings, full=full, retrain=retrain)

    def audit_recall(self, *, queries: int) -> IndexEvent:
        """Compares the vector index with exact search on a sample, and records the recall."""
        with store_errors("audit its index"):
            return vector_index.audit_recall(self._tables, self._settings, queries=queries)

    def index_health(self) -> IndexHealth:
        return vector_index.index_health(self._tables)

    def delete_orphan_frames(self) -> int:
        """Removes frames of interrupted registrations and deletions; returns their number.

        In an object store other writers may be active, so only frames that were found at least
        ORPHAN_AGE_S ago are removed.
        """
        with self._write("delete orphan frames") as tables:
            now = time.monotonic()
            found = upkeep.orphan_frames(tables)
            self._orphans = {one: self._orphans.get(one, now) for one in found}
            age_s = 0.0 if is_folder(self.uri) else ORPHAN_AGE_S
            dead = [one for one, since in self._orphans.items() if now - since >= age_s]
            dropped = writing.drop_frames(tables, dead)
            for one in dead:
                del self._orphans[one]
            return dropped

    @property
    def has_orphans(self) -> bool:
        """Whether the last call left orphans that may belong to an active writer."""
        return bool(self._orphans)

    @contextmanager
    def _write(self, action: str) -> Iterator[Tables]:
        if self._read_only:
            raise StoreUnavailable(f"the library at {self.uri} was opened for reading only")
        with self._writing, store_errors(action), write_lock(self.uri):
            for table in self._tables.all:
                table.checkout_latest()
            yield self._tables

    def _own(self, entry: Entry) -> Entry:
        """The entry without a sound of another space."""
        sound = entry.features.sound
        if sound is None or sound.spec == self.sound:
            return entry
        return replace(entry, features=replace(entry.features, sound=None))

    def _require_spec(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if entry.features.spec != self.spec:
                raise FeatureSpaceMismatch(
                    f"'{entry.draft.id}' has features of {entry.features.spec.model_id}; the "
                    f"library holds those of {self.spec.model_id}"
                )
