"""The evidence of a match, for reviewers: explanation, and pictures of both videos."""

from __future__ import annotations

import asyncio
import logging

from dubl.assembly import make_evidence_store, reference_sampling, registered_sampling
from dubl.engine.flow import Steps, decode_again
from dubl.errors import DublError, EvidenceNotKept
from dubl.media.sources import open_path
from dubl.settings import Settings
from dubl.types import Explanation, Match, Matrices, Reference, StoredVideo

logger = logging.getLogger(__name__)


class Evidence:
    """Evidence of checks. Stored pictures are read here, from a disk that all processes share.

    All methods but `forget` raise EvidenceNotKept.
    """

    def __init__(self, steps: Steps, settings: Settings) -> None:
        self._steps = steps
        self._kept = make_evidence_store(settings)
        self._settings = settings

    async def explain(self, check_id: str, match: Match) -> Explanation:
        if self._settings.evidence.keep != "none":
            await self._keep_archived(match.reference_id)
        found: Explanation = await self._steps.lanes[0].reranker.explain.remote(check_id, match)
        return found

    async def matrices(self, check_id: str, match: Match) -> Matrices:
        found: Matrices = await self._steps.lanes[0].reranker.matrices.remote(check_id, match)
        return found

    async def query(self, check_id: str) -> StoredVideo:
        return await asyncio.to_thread(self._kept.query, check_id)

    async def reference(self, reference_id: str) -> StoredVideo:
        return await asyncio.to_thread(self._kept.reference, reference_id)

    async def query_picture(self, check_id: str, at_s: float) -> bytes:
        return await asyncio.to_thread(self._kept.query_picture, check_id, at_s)

    async def reference_picture(self, reference_id: str, at_s: float) -> bytes:
        return await asyncio.to_thread(self._kept.reference_picture, reference_id, at_s)

    async def forget(self, check_id: str) -> None:
        """Deletes the evidence of a check; its verdict stays."""
        await asyncio.to_thread(self._kept.remove_query, check_id)
        await self._steps.librarian.forget_upload.remote(check_id)

    async def _keep_archived(self, reference_id: str) -> None:
        """Stores the pictures of an archive's reference when they are first requested.

        Its file must be in an allowed folder and unchanged.
        """
        try:
            await self.reference(reference_id)
        except EvidenceNotKept:
            try:
                await self._decode_again(reference_id)
            except DublError as exc:
                logger.info("no pictures of reference %s: %s", reference_id, exc.detail)

    async def _decode_again(self, reference_id: str) -> None:
        reference: Reference = await self._steps.librarian.get.remote(reference_id)
        source = await asyncio.to_thread(open_path, reference.source, settings=self._settings.media)
        if source.sha256 != reference.sha256:
            raise EvidenceNotKept("the reference's file has changed since it was registered")
        sampling = registered_sampling(
            reference_sampling(self._settings),
            self._settings,
            library=reference.library,
            rights=reference.rights,
        )
        await decode_again(self._steps, reference, source, sampling)
