"""The Librarian's part that keeps checked uploads."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from dubl.assembly import make_uploads
from dubl.errors import CheckNotFound, DublError
from dubl.settings import Settings
from dubl.types import VideoFeatures

if TYPE_CHECKING:
    from dubl.index.store import LibraryStore
    from dubl.index.uploads import KeptUpload, Upload


class UploadArchive:
    """Does nothing, and knows no upload, where none are kept."""

    def __init__(self, settings: Settings, references: LibraryStore) -> None:
        self._references = references
        self._uploads = make_uploads(settings)
        self._retention_s = settings.lookback.retention_s
        self._keeping = asyncio.Lock()
        self._waiting: list[KeptUpload] = []

    async def keep_upload(self, upload: Upload, features: VideoFeatures) -> None:
        """Returns when it is kept. Whoever comes while others are written is written together with
        all who wait by then; where that fails, each tries for itself and the others once more."""
        if self._uploads is None:
            return
        from dubl.index.uploads import KeptUpload

        mine = KeptUpload(upload=upload, features=features)
        self._waiting.append(mine)
        async with self._keeping:
            group, self._waiting = self._waiting, []
            if not group:
                return
            try:
                await asyncio.to_thread(self._uploads.keep, group)
            except DublError:
                self._waiting += [one for one in group if one is not mine]
                raise

    async def upload_features(self, check_id: str) -> VideoFeatures:
        """Raises CheckNotFound."""
        if self._uploads is None:
            raise CheckNotFound("no uploads are kept")
        return await asyncio.to_thread(self._uploads.features, check_id)

    async def uploads_showing(self, reference_id: str, library: str) -> tuple[Upload, ...]:
        """Uploads with frames like those of a reference, best first; none of one that is gone."""
        found = await asyncio.to_thread(self._references.read_features, [reference_id])
        if self._uploads is None or reference_id not in found:
            return ()
        return await asyncio.to_thread(self._uploads.showing, found[reference_id], library=library)

    async def forget_upload(self, check_id: str) -> None:
        if self._uploads is not None:
            async with self._keeping:
                await asyncio.to_thread(self._uploads.forget, [check_id])

    async def sweep_uploads(self) -> None:
        """Drops what is older than the settings allow, and compacts the rest."""
        if self._uploads is None:
            return
        from dubl.ledger.statements import utc_now

        before = utc_now(plus_s=-self._retention_s)
        async with self._keeping:
            while await asyncio.to_thread(self._uploads.sweep, kept_before=before):
                continue
            await asyncio.to_thread(self._uploads.optimize)
