"""Accepts, waits for, and cancels jobs. A job is in the ledger before it is acknowledged."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Sequence

from dubl.assembly import make_spool
from dubl.contract.orders import BatchOrder, Order, Terms, new_job, order_of
from dubl.engine.ledger import LedgerClient
from dubl.engine.runner import Ended, JobRunner, Schedule
from dubl.engine.shell import NO_SHELL, Shell
from dubl.errors import DublError, InvalidRequest, StateConflict
from dubl.ledger.clock import utc_now
from dubl.ledger.job_queue import JobQueue
from dubl.settings import Settings
from dubl.types import Job, JobKind, JobRank

logger = logging.getLogger(__name__)

# Seconds between two looks at a job of another process: longer each time. Chosen.
POLL_S, MAX_POLL_S = 0.25, 2.0


class Jobs:
    """Jobs that run in this process, by `runner`, or in the consumers that `send` notifies."""

    def __init__(
        self,
        *,
        ledger: LedgerClient,
        settings: Settings,
        runner: JobRunner | None = None,
        send: Schedule | None = None,
        shell: Shell = NO_SHELL,
    ) -> None:
        self._ledger = ledger
        self._settings = settings
        self._runner = runner
        self._send = send
        self._shell = shell
        self._spool = make_spool(settings)
        self._abandoned: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> int:
        """Number of jobs that run in this process."""
        return self._runner.running if self._runner is not None else 0

    async def accept(self, order: Order, terms: Terms) -> Job:
        """Records and queues a job, or begins it here. Raises InvalidRequest, Overloaded,
        RateLimited."""
        job = new_job(
            order,
            job_id=str(uuid.uuid4()),
            created_at=utc_now(),
            rank=JobRank.WAITED_FOR if terms.waits else JobRank.ORDINARY,
            callbacks=self._callbacks(order.libraries, terms.callback_url),
            request_id=self._shell.request_id(),
            traceparent=self._shell.traceparent(),
            key_id=terms.key_id,
        )
        # The batch counts as its first video. A zip's are counted when it is unpacked.
        further = len(order.links) - 1 if isinstance(order, BatchOrder) and order.links else 0
        if self._runner is None or not self._runner.reserve(job.key_id):
            job = await self._create(job, lease_s=0.0, further_jobs=further)
            await self._hand_on(job)
            return job
        try:
            lease_s = self._settings.serve.lease_s
            job = await self._create(job, lease_s=lease_s, further_jobs=further)
        except BaseException:
            self._runner.release(job.key_id)
            raise
        self._runner.adopt(job, order, reserved=True)
        return job

    async def wait(self, job: Job, *, seconds: float) -> Ended:
        """The job when it ends, or its state after `seconds`; with the result if it ran here."""
        if seconds <= 0 or job.state.ended:
            return Ended(job=job)
        deadline, poll_s = time.monotonic() + seconds, POLL_S
        while True:
            task = self._runner.task_of(job.id) if self._runner is not None else None
            if task is not None:
                await asyncio.wait({task}, timeout=deadline - time.monotonic())
                if task.done() and not task.cancelled() and task.exception() is None:
                    ended = task.result()
                    if ended is not None and ended.job.state.ended:
                        return ended
            job = await self._ledger.ask(JobQueue.get, job.id)
            left_s = deadline - time.monotonic()
            if job.state.ended or left_s <= 0:
                return Ended(job=job)
            await self._begun_here(job.id, seconds=min(poll_s, left_s))
            poll_s = min(2 * poll_s, MAX_POLL_S)

    async def _begun_here(self, job_id: str, *, seconds: float) -> None:
        """Returns when the job begins in this process, or after `seconds`: another one may run
        it."""
        if self._runner is None:
            await asyncio.sleep(seconds)
        else:
            await self._runner.begun(job_id, seconds=seconds)

    def abandon(self, job: Job) -> None:
        """Cancels, in the background, a job whose only caller has disconnected."""
        task = asyncio.create_task(self._abandon(job))
        self._abandoned.add(task)
        task.add_done_callback(self._abandoned.discard)

    async def cancel(self, job_id: str) -> Job:
        """Cancels a job. Raises JobNotFound, and StateConflict if it has ended."""
        cancelled = await self._ledger.ask(JobQueue.cancel, job_id)
        for job in cancelled:
            if self._runner is not None:
                self._runner.stop_job(job.id)
            file = order_of(job).file
            if file is not None:
                await asyncio.to_thread(self._spool.remove, file)
        return await self._ledger.ask(JobQueue.get, job_id)

    async def end_registration(self, reference_id: str) -> bool:
        """Cancels the unfinished registration of a reference; returns whether there was one."""
        job = await self._ledger.ask(JobQueue.find, reference_id, kind=JobKind.REFERENCE)
        if job is None or job.state.ended:
            return False
        try:
            await self.cancel(job.id)
        except StateConflict:  # it has just ended
            return False
        return True

    async def requeue(self, job_id: str) -> Job:
        """Queues a dead job again. Raises JobNotFound, and StateConflict if it is not dead."""
        tries = self._settings.serve.job_tries
        job = await self._ledger.ask(JobQueue.requeue, job_id, tries=tries)
        await self._hand_on(job)
        return job

    async def _create(self, job: Job, *, lease_s: float, further_jobs: int) -> Job:
        serve = self._settings.serve
        return await self._ledger.ask(
            JobQueue.create,
            job,
            tries=serve.job_tries,
            lease_s=lease_s,
            max_unfinished=serve.max_queued_jobs,
            key_share=serve.key_share,
            further_jobs=further_jobs,
            jobs_per_day=self._settings.access.jobs_per_day,
        )

    async def _hand_on(self, job: Job) -> None:
        if self._send is not None:
            await self._send(job.id, 0.0)
        elif self._runner is not None:
            self._runner.wake()

    def _callbacks(self, libraries: Sequence[str], callback_url: str) -> tuple[str, ...]:
        webhooks = self._settings.webhooks
        if callback_url and not webhooks.secret.get_secret_value():
            raise InvalidRequest("`callback_url` needs a secret. Set DUBL__WEBHOOKS__SECRET.")
        found = [webhooks.library_urls.get(name, "") for name in libraries]
        return tuple(dict.fromkeys(url for url in (callback_url, *found) if url))

    async def _abandon(self, job: Job) -> None:
        try:
            await self.cancel(job.id)
        except StateConflict:
            return
        except DublError as exc:
            logger.warning("abandoned job %s could not be cancelled: %s", job.id, exc.detail)
            return
        logger.info("cancelled job %s: its only caller has disconnected", job.id)
