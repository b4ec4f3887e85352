"""Accepted work: written into the ledger before it is acknowledged. Fulfills the HTTP layer's
Service."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

from dubl.assembly import make_spool, still_sampling
from dubl.contract.orders import (
    BATCH_ORDER,
    CHECK_ORDER,
    REFERENCE_ORDER,
    BatchOrder,
    CheckOrder,
    FrameSearch,
    JobFilter,
    ReferenceChange,
    ReferenceFilter,
    ReferenceOrder,
    Terms,
)
from dubl.errors import DublError, InvalidRequest, Overloaded, StateConflict
from dubl.ledger.job_queue import JobQueue
from dubl.ledger.ledger import Ledger
from dubl.ledger.outbox import Outbox
from dubl.ledger.statements import utc_now
from dubl.settings import Settings
from dubl.types import (
    Check,
    Delivery,
    DeliveryState,
    FrameFound,
    Job,
    JobKind,
    JobRank,
    JobState,
    Outcome,
    Page,
    Reference,
)
from serve_app.admission import Admission
from serve_app.api.service import Readiness
from serve_app.calls import answer
from serve_app.desk import ReviewDesk
from serve_app.flow import Steps
from serve_app.ledger_client import LedgerClient
from serve_app.origin import current_request_id, current_traceparent
from serve_app.readiness import read_readiness
from serve_app.runner import JobRunner, Schedule
from serve_app.scraping import gather_metrics
from serve_app.switchboard import LaneSwitchboard
from serve_app.work import upload_of
from serve_app.workshop import make_runner

logger = logging.getLogger(__name__)

POLL_S = 0.25


class JobService:
    """One per ingress replica. Jobs are run here by `runner`, or by consumers that `send` calls."""

    def __init__(
        self,
        *,
        steps: Steps,
        settings: Settings,
        runner: JobRunner | None = None,
        send: Schedule | None = None,
    ) -> None:
        self._steps = steps
        self._ledger = LedgerClient(steps.ledger)
        self._settings = settings
        self.desk = ReviewDesk(steps, settings)
        self.switchboard = LaneSwitchboard(steps, settings)
        self._runner = runner
        self._send = send
        self._admission = Admission(settings.serve)
        self._spool = make_spool(settings)
        self._abandoned: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begins to take jobs."""
        if self._runner is not None:
            self._runner.start()

    def room(self, *, waits: bool) -> AbstractContextManager[None]:
        return self._admission.room(waits=waits)

    async def submit_check(self, order: CheckOrder, terms: Terms) -> Job:
        request = CHECK_ORDER.dump_python(order, mode="json")
        return await self._accept(JobKind.CHECK, order.id, request, order.libraries, terms)

    async def submit_reference(self, order: ReferenceOrder, terms: Terms) -> Job:
        request = REFERENCE_ORDER.dump_python(order, mode="json")
        libraries = [order.draft.library]
        return await self._accept(JobKind.REFERENCE, order.draft.id, request, libraries, terms)

    async def submit_batch(self, order: BatchOrder, terms: Terms) -> Job:
        request = BATCH_ORDER.dump_python(order, mode="json")
        return await self._accept(JobKind.BATCH, order.id, request, order.libraries, terms)

    async def wait(self, job: Job, *, seconds: float) -> Job:
        if seconds <= 0:
            return job
        deadline = time.monotonic() + seconds
        task = self._runner.task_of(job.id) if self._runner is not None else None
        if task is not None:
            await asyncio.wait({task}, timeout=seconds)
        job = await self.get_job(job.id)
        while not job.state.ended and time.monotonic() < deadline:
            await asyncio.sleep(POLL_S)  # somebody else runs it, or it waits
            job = await self.get_job(job.id)
        return job

    def abandon(self, job: Job) -> None:
        task = asyncio.create_task(self._abandon(job))
        self._abandoned.add(task)
        task.add_done_callback(self._abandoned.discard)

    async def cancel_job(self, job_id: str) -> Job:
        cancelled = await self._ledger.ask(JobQueue.cancel, job_id)
        for job in cancelled:
            if self._runner is not None:
                self._runner.stop_job(job.id)
            upload = upload_of(job)
            if upload is not None:
                await asyncio.to_thread(self._spool.remove, upload)
        return await self.get_job(job_id)

    async def requeue_job(self, job_id: str) -> Job:
        tries = self._settings.serve.job_tries
        job = await self._ledger.ask(JobQueue.requeue, job_id, tries=tries)
        await self._hand_on(job)
        return job

    async def get_job(self, job_id: str) -> Job:
        return await self._ledger.ask(JobQueue.get, job_id)

    async def find_job(self, subject_id: str) -> Job:
        return await self._ledger.ask(JobQueue.find, subject_id)

    async def list_jobs(self, wanted: JobFilter, *, limit: int, cursor: str) -> Page[Job]:
        return await self._ledger.ask(
            JobQueue.list,
            state=wanted.state,
            parent_id=wanted.parent_id,
            dead=wanted.dead,
            limit=limit,
            cursor=cursor,
        )

    async def count_children(self, job_id: str) -> Mapping[JobState, int]:
        return await self._ledger.ask(JobQueue.count_children, job_id)

    async def list_deliveries(
        self, *, job_id: str, state: DeliveryState | None, limit: int, cursor: str
    ) -> Page[Delivery]:
        return await self._ledger.ask(
            Outbox.list, job_id=job_id, state=state, limit=limit, cursor=cursor
        )

    async def replay_delivery(self, delivery_id: str) -> Delivery:
        return await self._ledger.ask(Outbox.replay, delivery_id)

    async def get_check(self, check_id: str) -> Check:
        return await self._ledger.ask(Ledger.get_check, check_id)

    async def list_checks(
        self, *, outcome: Outcome | None, reference_id: str, limit: int, cursor: str
    ) -> Page[Check]:
        return await self._ledger.ask(
            Ledger.list_checks,
            outcome=outcome,
            reference_id=reference_id,
            limit=limit,
            cursor=cursor,
        )

    async def get_reference(self, reference_id: str) -> Reference:
        return await answer(self._steps.librarian.get.remote(reference_id))

    async def list_references(
        self, wanted: ReferenceFilter, *, limit: int, cursor: str
    ) -> Page[Reference]:
        listing = self._steps.librarian.list
        return await answer(
            listing.remote(wanted.library, wanted.owner, wanted.text, limit, cursor)
        )

    async def update_reference(self, reference_id: str, change: ReferenceChange) -> Reference:
        update = self._steps.librarian.update
        return await answer(update.remote(reference_id, change))

    async def delete_reference(self, reference_id: str) -> None:
        await answer(self._steps.librarian.delete.remote(reference_id))

    async def search_frame(self, search: FrameSearch) -> Sequence[FrameFound]:
        lane = await self.switchboard.answering()
        sampling = still_sampling(lane.space, search.at_s)
        clip = self._steps.decoder.decode.remote(search.source, sampling)
        features = lane.embedder.embed.remote(clip)
        found = lane.retriever.find_frame
        return await answer(found.remote(features, list(search.libraries), search.limit))

    async def libraries(self) -> Mapping[str, int]:
        return await answer(self._steps.librarian.libraries.remote())

    async def metrics(self) -> str:
        return await gather_metrics()

    async def readiness(self) -> Readiness:
        running = self._runner.running if self._runner is not None else 0
        return await read_readiness(self._steps, running_jobs=running)

    async def _accept(
        self,
        kind: JobKind,
        subject_id: str,
        request: Mapping[str, object],
        libraries: Sequence[str],
        terms: Terms,
    ) -> Job:
        job = Job(
            id=str(uuid.uuid4()),
            kind=kind,
            state=JobState.QUEUED,
            subject_id=subject_id,
            request=request,
            created_at=utc_now(),
            rank=JobRank.WAITED_FOR if terms.waits else JobRank.ORDINARY,
            callbacks=self._callbacks(libraries, terms.callback_url),
            request_id=current_request_id(),
            traceparent=current_traceparent(),
        )
        if self._runner is None or not self._runner.reserve():
            job = await self._create(job, lease_s=0.0)
            await self._hand_on(job)
            return job
        try:
            job = await self._create(job, lease_s=self._settings.serve.lease_s)
        finally:
            self._runner.release()
        self._runner.adopt(job)
        return job

    async def _create(self, job: Job, *, lease_s: float) -> Job:
        serve = self._settings.serve
        try:
            return await self._ledger.ask(
                JobQueue.create,
                job,
                tries=serve.job_tries,
                lease_s=lease_s,
                max_unfinished=serve.max_queued_jobs,
            )
        except Overloaded:
            self._admission.note_full()
            raise

    async def _hand_on(self, job: Job) -> None:
        if self._send is not None:
            await self._send(job.id, 0.0)
        elif self._runner is not None:
            self._runner.wake()

    def _callbacks(self, libraries: Sequence[str], callback_url: str) -> tuple[str, ...]:
        webhooks = self._settings.webhooks
        if callback_url and not webhooks.secret.get_secret_value():
            raise InvalidRequest("`callback_url` needs DUBL__WEBHOOKS__SECRET: nothing is set")
        found = [webhooks.library_urls.get(name, "") for name in libraries]
        return tuple(dict.fromkeys(url for url in (callback_url, *found) if url))

    async def _abandon(self, job: Job) -> None:
        try:
            await self.cancel_job(job.id)
        except StateConflict:
            return
        except DublError as exc:
            logger.warning("job %s goes on, though nobody waits: %s", job.id, exc.detail)
            return
        logger.info("job %s is cancelled: its only asker has gone", job.id)


def make_job_service(steps: Steps, settings: Settings) -> JobService:
    """By `serve.broker`."""
    if settings.serve.broker == "embedded":
        runner = make_runner(steps, settings, schedule=None)
        return JobService(steps=steps, settings=settings, runner=runner)
    from serve_app.broker import Dispatcher  # Celery is loaded only where it is used

    return JobService(steps=steps, settings=settings, send=Dispatcher(settings).send)
