"""Matching backwards: a new reference is searched in earlier uploads; hits become checks."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence

from dubl.contract.orders import (
    CheckOrder,
    EarlierUpload,
    LookbackOrder,
    VideoInput,
    new_job,
)
from dubl.engine.flow import Flow, Steps
from dubl.engine.handles import OnStage
from dubl.engine.ledger import LedgerClient
from dubl.errors import CheckNotFound
from dubl.index.uploads import Upload
from dubl.ledger.job_queue import JobQueue
from dubl.ledger.ledger import Ledger
from dubl.matching.decision import counts
from dubl.settings import Settings
from dubl.types import Job, JobRank, Outcome, Reference, Verdict

logger = logging.getLogger(__name__)


class Lookback:
    """Queues and runs these jobs. They may run twice, as ids are derived from their subjects."""

    def __init__(
        self, *, steps: Steps, flow: Flow, ledger: LedgerClient, settings: Settings
    ) -> None:
        self._steps = steps
        self._flow = flow
        self._ledger = ledger
        self._settings = settings

    async def queue(self, registration: Job, reference: Reference) -> None:
        """Queues the search for a new reference, before its registration ends."""
        lookback = self._settings.lookback
        if not lookback.keep_uploads:
            return
        order = LookbackOrder(reference_id=reference.id, libraries=(reference.library,))
        job = new_job(
            order,
            job_id=lookback_id(registration),
            created_at=registration.created_at,
            rank=JobRank.CHILD,
            key_id=registration.key_id,
        )
        tries = self._settings.serve.job_tries
        await self._ledger.ask(JobQueue.create, job, tries=tries, due_in_s=lookback.delay_s)

    async def perform(self, job: Job, order: LookbackOrder, on_stage: OnStage) -> None:
        """Checks earlier uploads that are similar to the reference.

        Those that match it get a check of their own, which appears in the review queue and in
        webhooks.
        """
        (library,) = order.libraries
        on_stage("retrieve")
        showing = await self._showing(order.reference_id, library)
        on_stage("rerank")
        hits = [one for one in showing if await self._matches(*one, order.reference_id, job)]
        children = [self._child(job, *one, library) for one in hits]
        tries = self._settings.serve.job_tries
        await self._ledger.ask(JobQueue.expand, job.lease, children, tries=tries)
        logger.info(
            "reference %s is in %d of %d similar earlier uploads",
            order.reference_id,
            len(hits),
            len(showing),
        )

    async def check(self, order: CheckOrder, upload: EarlierUpload, *, now: str) -> Verdict:
        """Checks an earlier upload against the current library."""
        prior = await self._ledger.ask(Ledger.prior_decisions, upload.sha256)
        return await self._flow.check_kept(
            upload.check_id,
            space_id=upload.space_id,
            check_id=order.id,
            libraries=order.libraries,
            prior=prior,
            context=order.context.at(now),
        )

    async def _showing(self, reference_id: str, library: str) -> list[tuple[Upload, str]]:
        """Similar uploads in all feature spaces, each with its space."""
        find = self._steps.librarian.uploads_showing
        found: dict[tuple[str, frozenset[str]], tuple[Upload, str]] = {}
        for lane in self._steps.lanes:
            space_id = lane.space.id
            uploads: Sequence[Upload] = await find.remote(space_id, reference_id, library)
            for upload in uploads:
                kept_as = upload.sha256, frozenset(upload.libraries)
                found.setdefault(kept_as, (upload, space_id))
        return list(found.values())

    async def _matches(self, upload: Upload, space_id: str, reference_id: str, job: Job) -> bool:
        order = CheckOrder(
            id="", video=VideoInput(), libraries=upload.libraries, context=upload.context
        )
        try:
            verdict = await self.check(order, _earlier(upload, space_id), now=job.created_at)
        except CheckNotFound:
            return False  # it was forgotten meanwhile
        return any(
            match.reference_id == reference_id
            and match.outcome is not Outcome.UNIQUE
            and counts(match)
            for match in verdict.matches
        )

    def _child(self, job: Job, upload: Upload, space_id: str, library: str) -> Job:
        order = CheckOrder(
            id=_id(job.id, upload.check_id),
            video=VideoInput(),
            libraries=upload.libraries,
            context=upload.context,
            earlier=_earlier(upload, space_id),
        )
        told = [*upload.callbacks, self._settings.webhooks.library_urls.get(library, "")]
        return new_job(
            order,
            job_id=_id(job.id, f"job {upload.check_id}"),
            created_at=job.created_at,
            rank=JobRank.CHILD,
            parent_id=job.id,
            key_id=job.key_id,
            callbacks=tuple(dict.fromkeys(url for url in told if url)),
        )


def _earlier(upload: Upload, space_id: str) -> EarlierUpload:
    return EarlierUpload(
        check_id=upload.check_id, name=upload.name, sha256=upload.sha256, space_id=space_id
    )


def lookback_id(registration: Job) -> str:
    """The id of the job that searches for a new reference."""
    return _id(registration.id, "lookback")


def _id(job_id: str, name: str) -> str:
    return str(uuid.uuid5(uuid.UUID(job_id), name))
