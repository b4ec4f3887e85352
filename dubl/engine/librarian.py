"""The step that writes the library and the features of checked uploads, in all feature spaces."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from dubl.assembly import (
    feature_spec,
    make_evidence_store,
    make_library,
    make_uploads,
    space_settings,
)
from dubl.contract.orders import ReferenceChange
from dubl.engine.grouping import Grouped
from dubl.engine.handles import Step
from dubl.engine.repeated import repeated
from dubl.engine.shell import NO_SHELL, Shell
from dubl.errors import CheckNotFound, ReferenceNotFound, StoreUnavailable
from dubl.rights.terms import ExcludedSegment
from dubl.settings import Settings
from dubl.types import (
    IndexHealth,
    Page,
    Reference,
    ReferenceDraft,
    Registration,
    VideoFeatures,
    VideoSource,
)

if TYPE_CHECKING:
    from dubl.index.rows import Entry
    from dubl.index.spaces import Holding
    from dubl.index.uploads import StoredUpload, Upload

# Seconds. Ray's agents forget a gauge that was not set for about twice their interval.
TELL_S = 5.0


class Librarian(Step):
    """The single writer of the library, in all its feature spaces.

    Concurrent registrations share one commit. Compaction and indexing run from time to time.
    """

    def __init__(self, settings: Settings, shell: Shell = NO_SHELL) -> None:
        self._library = make_library(settings)
        self._store = self._library.first
        self._kept = make_evidence_store(settings)
        self._shell = shell
        self._uploads = {
            feature_spec(each).space_id: store
            for each in space_settings(settings)
            if (store := make_uploads(each)) is not None
        }
        self._retention_s = settings.retention.uploads_s
        self._seen_after_s = settings.index.consistency_interval_s
        self._upkeep_s = settings.index.upkeep_interval_s
        self._known_libraries: set[str] = set()
        self._told_libraries: frozenset[str] | None = None  # as of the last upkeep
        self._writing = asyncio.Lock()
        self._keeping = asyncio.Lock()
        self._registrations: Grouped[list[Entry], Registration] = Grouped(self._write)
        self._new_uploads: Grouped[StoredUpload, None] = Grouped(self._keep)
        self._clean_at = time.monotonic()  # an earlier life may have been killed
        self._optimized = self._library.version
        self._index: tuple[IndexHealth, int, float] | None = None
        self._background: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._background = [
            asyncio.create_task(
                repeated(self._keep_up, every_s=self._upkeep_s, name="upkeep of the library")
            ),
            asyncio.create_task(
                repeated(self._tell, every_s=TELL_S, name="telling the state of the index")
            ),
        ]

    async def close(self) -> None:
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await super().close()

    async def keep_up(self) -> None:
        """Compacts and indexes new rows, and removes leftovers of crashes and expired data.

        Raises StoreUnavailable.
        """
        async with self._writing:
            if self._clean_at <= time.monotonic():
                again_s = await self.in_thread(self._library.delete_orphan_frames)
                self._clean_at = time.monotonic() + again_s
            if self._library.version != self._optimized:
                await self.in_thread(self._library.optimize)
            self._optimized = self._library.version
        await self._sweep_uploads()

    async def _keep_up(self) -> None:
        await self.keep_up()
        self._index = await self.in_thread(self._index_state)

    def _index_state(self) -> tuple[IndexHealth, int, float]:
        counts = self._store.libraries()
        self._told_libraries = frozenset(counts)
        references = sum(counts.values())
        return self._store.index_health(), references, time.time()

    async def _tell(self) -> None:
        """Sets metrics of the index, as of the last upkeep."""
        if self._index is not None:
            health, references, at = self._index
            self._shell.show_index(health, references=references, kept_up_at=at)

    @contextmanager
    def _cleaned_up(self) -> Iterator[None]:
        """Removes frames without a reference, which an interrupted write may have left."""
        try:
            yield
        except StoreUnavailable:
            self._clean_at = time.monotonic()
            raise

    async def register(
        self, draft: ReferenceDraft, source: VideoSource, *features: VideoFeatures
    ) -> Registration:
        """Registers a video with its features in each space."""
        from dubl.index.rows import Entry

        video = [Entry(draft=draft, source=source, features=one) for one in features]
        made = await self._registrations.add(video)
        self._known_libraries.add(draft.library)
        return replace(made, timings_ms=features[0].timings_ms)

    async def _write(self, videos: Sequence[list[Entry]]) -> Sequence[Registration]:
        async with self._writing:
            with self._cleaned_up():
                return await self.in_thread(self._library.register, videos)

    async def find(self, draft: ReferenceDraft, sha256: str) -> Registration | None:
        """The existing registration of the same video."""
        return await self.in_thread(self._library.find, draft, sha256)

    async def get(self, reference_id: str) -> Reference:
        return await self.in_thread(self._store.get, reference_id)

    async def existing(self, reference_ids: Sequence[str]) -> Sequence[Reference]:
        """The references that are in the library."""
        return await self.in_thread(self._store.existing, ids=reference_ids)

    async def list(
        self, library: str, owner: str, text: str, limit: int, cursor: str
    ) -> Page[Reference]:
        return await self.in_thread(
            self._store.list, library=library, owner=owner, q=text, limit=limit, cursor=cursor
        )

    async def update(self, reference_id: str, change: ReferenceChange) -> Reference:
        """Changes a reference; returns when all readers see new rights."""
        async with self._writing:
            reference = await self.in_thread(self._library.update, reference_id, change)
        if change.rights is not None:
            await asyncio.sleep(self._seen_after_s)
        return reference

    async def exclude(self, reference_id: str, segments: Sequence[ExcludedSegment]) -> Reference:
        """Adds excluded segments to a reference's rights, but for those inside others; returns when
        all readers see them. Raises ReferenceNotFound."""
        async with self._writing:
            rights = (await self.get(reference_id)).rights
            known = rights.excluded_segments
            new = tuple(
                one
                for one in segments
                if not any(o.start_s <= one.start_s and one.end_s <= o.end_s for o in known)
            )
            change = ReferenceChange(rights=replace(rights, excluded_segments=(*known, *new)))
            reference = await self.in_thread(self._library.update, reference_id, change)
        await asyncio.sleep(self._seen_after_s)
        return reference

    async def delete(self, reference_id: str) -> None:
        # Pictures first: what is cut off here is done again as long as the reference is there.
        await self.in_thread(self._kept.remove_reference, reference_id)
        async with self._writing:
            with self._cleaned_up():
                await self.in_thread(self._library.delete, reference_id)
            # Some may have been stored meanwhile. None of a next reference with this id: it is
            # registered before its pictures are stored.
            await self.in_thread(self._kept.remove_reference, reference_id)

    async def drop_pictures_of_deleted(self, reference_id: str, created_at: str) -> None:
        """Removes a reference's pictures if this registration was deleted, as while they were
        stored."""
        found = await self.existing([reference_id])
        if created_at not in [one.created_at for one in found]:
            await self.in_thread(self._kept.remove_reference, reference_id)

    async def withdraw(self, reference_id: str, since: str) -> None:
        """Deletes a reference that was registered at this time or later, if it is there."""
        with suppress(ReferenceNotFound):
            if (await self.get(reference_id)).created_at >= since:
                await self.delete(reference_id)

    async def unknown(self, libraries: Sequence[str]) -> str | None:
        """The first one that has had no reference since this process began; None: there is none.

        Counts the references of one name, as anybody may ask for wrong names.
        """
        for name in libraries:
            if name not in self._known_libraries:
                if not await self.in_thread(self._store.count, [name]):
                    return name
                self._known_libraries.add(name)
        return None

    async def told_libraries(self) -> frozenset[str]:
        """Names for hints: those at the last upkeep, and those filled or asked about since."""
        if self._told_libraries is None:
            self._told_libraries = frozenset(await self.libraries())
        return self._told_libraries | self._known_libraries

    async def libraries(self) -> Mapping[str, int]:
        return await self.in_thread(self._store.libraries)

    async def holdings(self) -> Mapping[str, Holding]:
        """Number of references, and of missing ones, by feature space."""
        return await self.in_thread(self._library.holdings)

    async def missing(self, space_id: str, after_id: str, limit: int) -> Sequence[Reference]:
        """References that a space lacks and another one holds, sorted by id."""
        return await self.in_thread(self._library.missing, space_id, after_id=after_id, limit=limit)

    async def keep_upload(self, upload: Upload, features: VideoFeatures) -> None:
        """Stores the features of a checked video, if the settings say so."""
        if not self._uploads:
            return
        from dubl.index.uploads import StoredUpload

        await self._new_uploads.add(StoredUpload(upload=upload, features=features))

    async def _keep(self, uploads: Sequence[StoredUpload]) -> Sequence[None]:
        async with self._keeping:
            for space_id, store in self._uploads.items():
                theirs = [one for one in uploads if one.features.spec.space_id == space_id]
                if theirs:
                    await self.in_thread(store.keep, theirs)
        return [None] * len(uploads)

    async def upload_features(self, space_id: str, check_id: str) -> VideoFeatures:
        """The features of a checked video. Raises CheckNotFound."""
        if space_id not in self._uploads:
            raise CheckNotFound("no uploads are stored. Set lookback.keep_uploads.")
        return await self.in_thread(self._uploads[space_id].features, check_id)

    async def uploads_showing(
        self, space_id: str, reference_id: str, library: str
    ) -> tuple[Upload, ...]:
        """Uploads with frames similar to a reference's, best first; none if it was deleted."""
        if space_id not in self._uploads:
            return ()
        store, uploads = self._library.stores[space_id], self._uploads[space_id]
        found = await self.in_thread(store.read_features, [reference_id])
        if reference_id not in found:
            return ()
        return await self.in_thread(uploads.showing, found[reference_id], library=library)

    async def forget_upload(self, check_id: str) -> None:
        async with self._keeping:
            for uploads in self._uploads.values():
                await self.in_thread(uploads.forget, [check_id])

    async def _sweep_uploads(self) -> None:
        """Removes expired uploads, and compacts the rest."""
        if not self._uploads:
            return
        from dubl.ledger.clock import utc_now  # DuckDB is loaded where uploads are kept

        before = utc_now(plus_s=-self._retention_s)
        for uploads in self._uploads.values():
            async with self._keeping:
                while await self.in_thread(uploads.sweep, kept_before=before):
                    continue
                await self.in_thread(uploads.optimize)
