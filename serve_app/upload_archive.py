"""The Librarian's part that keeps checked uploads."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dubl.assembly import feature_spec, make_uploads, space_settings
from dubl.errors import CheckNotFound, DublError
from dubl.settings import Settings
from dubl.types import VideoFeatures

if TYPE_CHECKING:
    from dubl.index.spaces import SpacedLibrary
    from dubl.index.uploads import KeptUpload, Upload, UploadStore


class UploadArchive:
    """Does nothing, and knows no upload, where none are kept. Those of each feature space lie
    apart."""

    def __init__(self, settings: Settings, library: SpacedLibrary) -> None:
        self._library = library
        made = {
            feature_spec(each).space_id: make_uploads(each) for each in space_settings(settings)
        }
        self._uploads: dict[str, UploadStore] = {
            space_id: store for space_id, store in made.items() if store is not None
        }
        self._retention_s = settings.lookback.retention_s
        self._keeping = asyncio.Lock()
        self._waiting: list[KeptUpload] = []

    async def keep_upload(self, upload: Upload, features: VideoFeatures) -> None:
        """Returns when it is kept. Whoever comes while others are written is written together with
        all who wait by then; where that fails, each tries for itself and the others once more."""
        if not self._uploads:
            return
        from dubl.index.uploads import KeptUpload

        mine = KeptUpload(upload=upload, features=features)
        self._waiting.append(mine)
        async with self._keeping:
            group, self._waiting = self._waiting, []
            if not group:
                return
            try:
                await asyncio.to_thread(self._keep, group)
            except DublError:
                self._waiting += [one for one in group if one is not mine]
                raise

    def _keep(self, group: Sequence[KeptUpload]) -> None:
        for space_id, store in self._uploads.items():
            theirs = [one for one in group if one.features.spec.space_id == space_id]
            if theirs:
                store.keep(theirs)

    async def upload_features(self, space_id: str, check_id: str) -> VideoFeatures:
        """Raises CheckNotFound."""
        if space_id not in self._uploads:
            raise CheckNotFound("no uploads are kept")
        return await asyncio.to_thread(self._uploads[space_id].features, check_id)

    async def uploads_showing(
        self, space_id: str, reference_id: str, library: str
    ) -> tuple[Upload, ...]:
        """Uploads with frames like those of a reference, best first; none of one that is gone."""
        if space_id not in self._uploads:
            return ()
        store, uploads = self._library.stores[space_id], self._uploads[space_id]
        found = await asyncio.to_thread(store.read_features, [reference_id])
        if reference_id not in found:
            return ()
        return await asyncio.to_thread(uploads.showing, found[reference_id], library=library)

    async def forget_upload(self, check_id: str) -> None:
        async with self._keeping:
            for uploads in self._uploads.values():
                await asyncio.to_thread(uploads.forget, [check_id])

    async def sweep_uploads(self) -> None:
        """Drops what is older than the settings allow, and compacts the rest."""
        from dubl.ledger.statements import utc_now

        before = utc_now(plus_s=-self._retention_s)
        for uploads in self._uploads.values():
            async with self._keeping:
                while await asyncio.to_thread(uploads.sweep, kept_before=before):
                    continue
                await asyncio.to_thread(uploads.optimize)
