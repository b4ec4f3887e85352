"""Runs jobs under leases: takes them from the ledger, renews leases, ends each job once."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

from dubl.contract.orders import Order
from dubl.contract.shares import keys_at_their_share
from dubl.engine.ledger import LedgerClient
from dubl.engine.shell import NO_SHELL, Shell
from dubl.engine.work import NOTHING, Done, Work
from dubl.errors import (
    DeadlineExceeded,
    DecoderCrashed,
    DublError,
    LeaseLost,
    Overloaded,
    ServiceInterrupted,
    SourceUnreachable,
    StoreUnavailable,
)
from dubl.ledger.clock import utc_now
from dubl.ledger.job_queue import NEVER, JobQueue
from dubl.settings import ServeSettings
from dubl.types import Job, JobKind, JobState, Progress

logger = logging.getLogger(__name__)

# What may go better the next time; everything else is the video's fault.
RETRIED = (
    Overloaded,
    ServiceInterrupted,
    StoreUnavailable,
    SourceUnreachable,
    DecoderCrashed,
)
MAX_RETRY_DELAY_S = 60.0  # seconds; chosen
# A store that is away is no fault of the job: for so long it is waited for without counting tries.
OUTAGE_S = 86400.0
PULSE_S = 0.5  # seconds between two looks at leases; chosen
# How long after a job was found the ledger is asked for more; longer each time that it has none.
POLL_S = 1.0
SENT_AGAIN_S = 2.0  # seconds until a job of a key with a full share is sent again; chosen
MAX_POLL_S = 4.0
RENEWALS_PER_LEASE = 4  # chosen
# Kinds whose end leaves jobs in the ledger: children, or the search for a new reference.
PARENTS = (JobKind.BATCH, JobKind.LOOKBACK, JobKind.REFERENCE)

# The share of the usual work that is done when a stage begins.
SHARES = {
    "": 0.0,
    "source": 0.0,
    "unpack": 0.0,
    "decode": 0.1,
    "embed": 0.45,
    "retrieve": 0.75,
    "rerank": 0.8,
    "verify": 0.85,
    "register": 0.9,
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A job after an attempt, as in the ledger, and the result if there is one."""

    job: Job
    done: Done = NOTHING


Schedule = Callable[[str, float], Awaitable[None]]


def retry_delay_s(attempts: int, *, first_s: float) -> float:
    """Seconds to wait after a number of attempts; a store may be away for thousands of them."""
    doublings = min(attempts - 1, 30)
    return min(first_s * 2.0**doublings, MAX_RETRY_DELAY_S)


class JobRunner:
    """One for each process that runs jobs; at most `max_concurrent_jobs` at once.

    `schedule` is called for jobs to be tried again, with the delay in seconds.
    """

    def __init__(
        self,
        *,
        ledger: LedgerClient,
        work: Work,
        settings: ServeSettings,
        schedule: Schedule | None = None,
        shell: Shell = NO_SHELL,
    ) -> None:
        self._ledger = ledger
        self._work = work
        self._settings = settings
        self._schedule = schedule
        self._shell = shell
        self._running: dict[str, asyncio.Task[Ended | None]] = {}
        self._reached: dict[str, tuple[Job, Progress]] = {}
        self._told: dict[str, Progress] = {}
        self._begun = asyncio.Event()  # replaced when it is set: for those who wait next
        self._reserved: Counter[str] = Counter()
        self._wake = asyncio.Event()
        self._more = True  # whether the ledger may have jobs that found no place here
        self._loops: list[asyncio.Task[None]] = []

    @property
    def free(self) -> int:
        return self._settings.max_concurrent_jobs - self._held().total()

    @property
    def running(self) -> int:
        return len(self._running)

    def start(self, *, takes_older_than_s: float = 0.0) -> None:
        """Starts renewing leases and taking jobs; with a broker only overdue jobs."""
        self._loops.append(asyncio.create_task(self._pulse()))
        self._loops.append(asyncio.create_task(self._take(takes_older_than_s)))

    def stop(self) -> None:
        """Takes no further jobs, and renews no leases; running jobs are left."""
        for loop in self._loops:
            loop.cancel()

    def reserve(self, key_id: str = "") -> bool:
        """Reserves a place for a job that is about to be accepted, if one is free for its key."""
        if self.free <= 0 or key_id in self._full():
            return False
        self._reserved[key_id] += 1
        return True

    def release(self, key_id: str = "") -> None:
        """Releases a reserved place."""
        self._reserved[key_id] -= 1
        self._wake.set()

    def adopt(
        self, job: Job, order: Order | None = None, *, reserved: bool = False
    ) -> asyncio.Task[Ended | None]:
        """Starts a job that the ledger has handed to this process, in a reserved place or not.

        `order`: that of the job, if it is at hand.
        """
        self._reserved[job.key_id] -= reserved
        task = asyncio.create_task(self._continue(job, order), name=job.id)
        self._running[job.id] = task
        self._reached[job.id] = (job, Progress())
        task.add_done_callback(self._forget)
        self._begun.set()
        self._begun = asyncio.Event()
        return task

    async def run_one(self, job_id: str) -> None:
        """Takes and runs this job, unless it has ended or another worker runs it.

        If its key has its share of the places here, the job is sent again a little later.
        """
        lease_s, full = self._settings.lease_s, self._full()
        job = await self._ledger.ask(JobQueue.claim_one, job_id, lease_s=lease_s, full_keys=full)
        if job is not None:
            await asyncio.wait({self.adopt(job)})
        elif full and self._schedule is not None:
            waiting = await self._ledger.ask(JobQueue.get, job_id)
            if waiting.state is JobState.QUEUED and waiting.key_id in full:
                await self._schedule(job_id, SENT_AGAIN_S)

    def wake(self) -> None:
        """Wakes the loop: there may be a job to take."""
        self._wake.set()

    async def begun(self, job_id: str, *, seconds: float) -> None:
        """Returns when this job begins here, or after `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while job_id not in self._running:
                    await self._begun.wait()

    def task_of(self, job_id: str) -> asyncio.Task[Ended | None] | None:
        return self._running.get(job_id)

    def progress_of(self, job_id: str) -> Progress:
        """How far a job is that runs here."""
        return self._reached[job_id][1] if job_id in self._reached else Progress()

    def stop_job(self, job_id: str) -> None:
        """Stops work on a cancelled job."""
        task = self._running.get(job_id)
        if task is not None:
            task.cancel()

    def _forget(self, task: asyncio.Task[Ended | None]) -> None:
        job_id = task.get_name()
        error = None if task.cancelled() else task.exception()
        if error is not None:
            trace = None if isinstance(error, DublError) else error
            logger.error("job %s waits for the end of its lease: %s", job_id, error, exc_info=trace)
        self._running.pop(job_id, None)
        job, _ = self._reached.pop(job_id)
        self._told.pop(job_id, None)
        if self._more or job.kind in PARENTS:
            self._wake.set()

    def _held(self) -> Counter[str]:
        """Places by key, with reserved ones."""
        running = Counter(job.key_id for job, _ in self._reached.values())
        running.update(self._reserved)
        return running

    def _full(self) -> list[str]:
        serve = self._settings
        return keys_at_their_share(
            self._held(), places=serve.max_concurrent_jobs, share=serve.key_share
        )

    async def _take(self, older_than_s: float) -> None:
        poll_s = POLL_S
        while True:
            self._wake.clear()
            try:
                self._more = self.free <= 0
                if not self._more:
                    limit = self.free
                    jobs = await self._ledger.ask(
                        JobQueue.claim,
                        limit=limit,
                        lease_s=self._settings.lease_s,
                        older_than_s=older_than_s,
                        at_work=self._held(),
                        key_share=self._settings.key_share,
                    )
                    poll_s = POLL_S if jobs else min(2 * poll_s, MAX_POLL_S)
                    for job in jobs:
                        self.adopt(job)
                    self._more = len(jobs) == limit or bool(self._full())
            except DublError as exc:
                logger.error("jobs could not be taken; will be retried: %s", exc.detail)
            except Exception:  # the loop must outlive whatever Serve raises
                logger.exception("jobs could not be taken; will be retried")
            try:
                async with asyncio.timeout(poll_s):
                    await self._wake.wait()
                poll_s = POLL_S
            except TimeoutError:
                continue

    async def _pulse(self) -> None:
        renewal_s = self._settings.lease_s / RENEWALS_PER_LEASE
        renewed_at = time.monotonic()
        while True:
            await asyncio.sleep(min(PULSE_S, renewal_s))
            try:
                if time.monotonic() - renewed_at >= renewal_s:
                    renewed_at = time.monotonic()
                    await self._renew()
                else:
                    await self._report()
            except DublError as exc:
                logger.error("leases could not be renewed; will be retried: %s", exc.detail)
            except Exception:
                logger.exception("leases could not be renewed; will be retried")

    async def _renew(self) -> None:
        held = {job.lease: progress for job, progress in self._reached.values()}
        if not held:
            return
        lost = await self._ledger.ask(JobQueue.renew, held, lease_s=self._settings.lease_s)
        for job_id in lost:
            logger.warning("job %s was cancelled or taken over", job_id)
            self.stop_job(job_id)

    async def _report(self) -> None:
        changed = {
            job.lease: progress
            for job, progress in self._reached.values()
            if self._told.get(job.id, Progress()) != progress
        }
        if changed:
            await self._ledger.ask(JobQueue.report, changed)
            self._told |= {lease.job_id: progress for lease, progress in changed.items()}

    async def _continue(self, job: Job, order: Order | None) -> Ended | None:
        with self._shell.continued(job):
            return await self._run(job, order)

    async def _run(self, job: Job, order: Order | None) -> Ended | None:
        """The end of the attempt; None if another worker owns the job."""

        def on_stage(stage: str) -> None:
            self._reached[job.id] = (job, Progress(stage=stage, share=SHARES[stage]))

        limit_s, done = self._settings.job_timeout_s, NOTHING
        try:
            async with asyncio.timeout(limit_s):
                done = await self._work.perform(job, order, on_stage)
            ended = _ended(job, done)
        except LeaseLost as exc:
            logger.warning("job %s: %s", job.id, exc.detail)
            return None
        except RETRIED as exc:
            ended = await self._retry(job, exc)
        except DublError as exc:
            ended = await self._fail(job, exc)
        except TimeoutError:
            late = DeadlineExceeded(f"the job took longer than {limit_s:g} s")
            ended = await self._fail(job, late)
        except Exception:
            logger.exception("job %s failed unexpectedly", job.id)
            ended = await self._retry(job, DublError("the service failed; see its log"))
        if ended.state.ended:
            self._shell.count_job(ended)
            if not ended.dead:
                await self._work.discard_upload(job, order)
        return Ended(job=ended, done=done)

    async def _fail(self, job: Job, error: DublError) -> Job:
        logger.warning("job %s failed: %s: %s", job.id, error.code, error.detail)
        existing = str(error.context.get("existing_id", ""))
        code, detail = error.code, error.detail
        await self._ledger.ask(
            JobQueue.fail, job.lease, code=code, detail=detail, result_id=existing
        )
        return dataclasses.replace(
            job,
            state=JobState.FAILED,
            error_code=code,
            error_detail=detail,
            result_id=existing,
        )

    async def _retry(self, job: Job, error: DublError) -> Job:
        delay_s = retry_delay_s(job.attempts, first_s=self._settings.retry_delay_s)
        outage = isinstance(error, StoreUnavailable)
        after = await self._ledger.ask(
            JobQueue.retry,
            job.lease,
            code=error.code,
            detail=error.detail,
            delay_s=delay_s,
            free_since=utc_now(plus_s=-OUTAGE_S) if outage else NEVER,
        )
        outcome = "given up" if after.dead else f"tried again in {delay_s:g} s"
        logger.warning("job %s %s: %s: %s", job.id, outcome, error.code, error.detail)
        if after.state.ended:
            return after
        self._shell.count_retry(error.code)
        asyncio.get_running_loop().call_later(delay_s, self.wake)
        if self._schedule is not None:
            await self._schedule(job.id, delay_s)
        return after


def _ended(job: Job, done: Done) -> Job:
    job = dataclasses.replace(job, state=JobState.DONE)
    if done.check is not None:
        return dataclasses.replace(job, result_id=done.check.id, created=True)
    if done.registration is not None:
        made = done.registration
        return dataclasses.replace(job, result_id=made.reference.id, created=made.created)
    return job
