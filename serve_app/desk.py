"""Matches as people look at them: evidence and reviews. Fulfills the HTTP layer's Desk."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from dubl.assembly import make_kept_videos, reference_sampling
from dubl.errors import DublError, EvidenceNotKept
from dubl.ledger.guard import Guard
from dubl.ledger.policies import Policies
from dubl.ledger.reviews import Reviews
from dubl.matching.thresholds import fit_thresholds
from dubl.media.sources import open_path
from dubl.settings import Settings
from dubl.types import (
    Decision,
    Explanation,
    KeptVideo,
    LibraryPolicy,
    Match,
    Matrices,
    Page,
    Quarantine,
    QuarantineState,
    Reference,
    Review,
    ReviewItem,
    ReviewState,
    ThresholdReport,
)
from serve_app.api.desk import QueueFilter
from serve_app.calls import answer
from serve_app.flow import Steps
from serve_app.ledger_client import LedgerClient

logger = logging.getLogger(__name__)


class ReviewDesk:
    """Kept pictures are read by the ingress itself: they lie on a disk that all share."""

    def __init__(self, steps: Steps, settings: Settings) -> None:
        self._steps = steps
        self._ledger = LedgerClient(steps.ledger)
        self._kept = make_kept_videos(settings)
        self._settings = settings
        self._reference_sampling = reference_sampling(settings)

    async def explain(self, check_id: str, match: Match) -> Explanation:
        if self._settings.evidence.keep != "none":
            await self._keep_archived(match.reference_id)
        return await answer(self._steps.lanes[0].reranker.explain.remote(check_id, match))

    async def matrices(self, check_id: str, match: Match) -> Matrices:
        return await answer(self._steps.lanes[0].reranker.matrices.remote(check_id, match))

    async def kept_query(self, check_id: str) -> KeptVideo:
        return await asyncio.to_thread(self._kept.query, check_id)

    async def kept_reference(self, reference_id: str) -> KeptVideo:
        return await asyncio.to_thread(self._kept.reference, reference_id)

    async def query_picture(self, check_id: str, at_s: float) -> bytes:
        return await asyncio.to_thread(self._kept.query_picture, check_id, at_s)

    async def reference_picture(self, reference_id: str, at_s: float) -> bytes:
        return await asyncio.to_thread(self._kept.reference_picture, reference_id, at_s)

    async def forget_query(self, check_id: str) -> None:
        await asyncio.to_thread(self._kept.remove_query, check_id)
        await answer(self._steps.librarian.forget_upload.remote(check_id))

    async def queue(self, wanted: QueueFilter, *, limit: int, cursor: str) -> Page[ReviewItem]:
        return await self._ledger.ask(
            Reviews.queue,
            state=wanted.state,
            least_probability=wanted.least_probability,
            by_policy=wanted.by_policy,
            check_id=wanted.check_id,
            reference_id=wanted.reference_id,
            limit=limit,
            cursor=cursor,
        )

    async def quarantines(self, *, state: QuarantineState | None) -> Sequence[Quarantine]:
        return await self._ledger.ask(Guard.list, state=state)

    async def decide_quarantine(
        self, reference_id: str, *, state: QuarantineState, reviewer: str, note: str
    ) -> Quarantine:
        return await self._ledger.ask(
            Guard.decide, reference_id, state=state, reviewer=reviewer, note=note
        )

    async def library_policies(self) -> Mapping[str, LibraryPolicy]:
        return await self._ledger.ask(Policies.current)

    async def withdraw_policy(self, library: str) -> None:
        await self._ledger.ask(Policies.withdraw, library)

    async def calibrate(
        self, library: str, *, least_decisions: int, adopt: bool
    ) -> ThresholdReport:
        judged = await self._ledger.ask(Policies.judged, library)
        policy = self._settings.policy
        report = fit_thresholds(judged, policy, least_decisions=least_decisions)
        if adopt:
            await self._ledger.ask(
                Policies.adopt,
                library,
                duplicate=report.duplicate_probability,
                review=report.review_probability,
                decisions=report.decisions,
            )
        return report

    async def counts(self, *, least_probability: float) -> Mapping[ReviewState, int]:
        return await self._ledger.ask(Reviews.counts, least_probability=least_probability)

    async def review(
        self, check_id: str, reference_id: str, *, decision: Decision, reviewer: str, note: str
    ) -> Review:
        return await self._ledger.ask(
            Reviews.record,
            check_id,
            reference_id,
            decision=decision,
            reviewer=reviewer,
            note=note,
        )

    async def reviews(
        self, *, check_id: str, reference_id: str, limit: int, cursor: str
    ) -> Page[Review]:
        return await self._ledger.ask(
            Reviews.list,
            check_id=check_id,
            reference_id=reference_id,
            limit=limit,
            cursor=cursor,
        )

    async def _keep_archived(self, reference_id: str) -> None:
        """Makes the pictures of a reference that came from an archive when they are first wanted:
        where its file lies in an allowed folder, and is still the same."""
        try:
            await self.kept_reference(reference_id)
        except EvidenceNotKept:
            try:
                await self._decode_again(reference_id)
            except DublError as exc:
                logger.info("no pictures of reference %s: %s", reference_id, exc.detail)

    async def _decode_again(self, reference_id: str) -> None:
        reference: Reference = await answer(self._steps.librarian.get.remote(reference_id))
        source = await asyncio.to_thread(open_path, reference.source, settings=self._settings.media)
        if source.sha256 != reference.sha256:
            raise EvidenceNotKept("its file has changed since it was registered")
        clip = self._steps.decoder.decode.remote(source, self._reference_sampling)
        await answer(self._steps.decoder.keep_reference.remote(reference_id, source, clip))
