"""Accepted work: written into the ledger before it is acknowledged, run in the background, resumed
after a restart. Fulfills the HTTP layer's Service."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
import uuid
from collections.abc import Awaitable, Mapping
from datetime import UTC, datetime

from pydantic import TypeAdapter

from dubl.errors import DeadlineExceeded, DublError, Overloaded, ReferenceNotFound
from dubl.media.links import fetch_link
from dubl.media.sources import open_path
from dubl.media.spool import Spool
from dubl.settings import Settings
from dubl.types import (
    Check,
    Job,
    JobKind,
    JobState,
    Outcome,
    Page,
    Reference,
    VideoSource,
)
from serve_app.api.metrics import UNFINISHED, count_job, count_verdict
from serve_app.api.service import (
    CheckOrder,
    Readiness,
    ReferenceChange,
    ReferenceFilter,
    ReferenceOrder,
    VideoInput,
)
from serve_app.flow import Flow, Steps, answer

logger = logging.getLogger(__name__)

CHECK_ORDER = TypeAdapter(CheckOrder)
REFERENCE_ORDER = TypeAdapter(ReferenceOrder)
POLL_S = 0.25


class JobService:
    """One per ingress replica."""

    def __init__(self, *, steps: Steps, flow: Flow, settings: Settings) -> None:
        self._steps = steps
        self._flow = flow
        self._settings = settings
        self._spool = Spool(settings.spool_dir, max_size_bytes=settings.media.max_size_bytes)
        self._slots = asyncio.Semaphore(settings.serve.max_concurrent_jobs)
        self._running: dict[str, asyncio.Task[None]] = {}

    async def resume(self) -> int:
        """Starts again what an earlier life of the service accepted and did not finish."""
        jobs: list[Job] = await answer(self._steps.ledger.unfinished_jobs.remote())
        for job in jobs:
            self._start(job)
        return len(jobs)

    def require_room(self) -> None:
        if len(self._running) >= self._settings.serve.max_queued_jobs:
            raise Overloaded(f"{len(self._running)} jobs are waiting already")

    async def submit_check(self, order: CheckOrder) -> Job:
        request = CHECK_ORDER.dump_python(order, mode="json")
        return await self._accept(JobKind.CHECK, order.id, request)

    async def submit_reference(self, order: ReferenceOrder) -> Job:
        request = REFERENCE_ORDER.dump_python(order, mode="json")
        return await self._accept(JobKind.REFERENCE, order.draft.id, request)

    async def wait(self, job: Job, *, seconds: float) -> Job:
        deadline = time.monotonic() + seconds
        task = self._running.get(job.id)
        if task is not None:
            await asyncio.wait({task}, timeout=seconds)
        job = await self.get_job(job.id)
        while job.state in (JobState.QUEUED, JobState.RUNNING) and time.monotonic() < deadline:
            await asyncio.sleep(POLL_S)  # another replica of the ingress runs it
            job = await self.get_job(job.id)
        return job

    async def get_job(self, job_id: str) -> Job:
        return await answer(self._steps.ledger.get_job.remote(job_id))

    async def find_job(self, subject_id: str) -> Job:
        return await answer(self._steps.ledger.find_job.remote(subject_id))

    async def list_jobs(self, *, state: JobState | None, limit: int, cursor: str) -> Page[Job]:
        return await answer(self._steps.ledger.list_jobs.remote(state, limit, cursor))

    async def get_check(self, check_id: str) -> Check:
        return await answer(self._steps.ledger.get_check.remote(check_id))

    async def list_checks(
        self, *, outcome: Outcome | None, reference_id: str, limit: int, cursor: str
    ) -> Page[Check]:
        listing = self._steps.ledger.list_checks
        return await answer(listing.remote(outcome, reference_id, limit, cursor))

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
        return await answer(
            update.remote(reference_id, change.title, change.owner, change.metadata)
        )

    async def delete_reference(self, reference_id: str) -> None:
        await answer(self._steps.librarian.delete.remote(reference_id))

    async def libraries(self) -> Mapping[str, int]:
        return await answer(self._steps.librarian.libraries.remote())

    async def readiness(self) -> Readiness:
        names = [field.name for field in dataclasses.fields(self._steps)]
        calls = [getattr(self._steps, name).ready.remote() for name in names]
        answers = await asyncio.gather(*(_is_ready(call) for call in calls))
        missing = tuple(name for name, ready in zip(names, answers, strict=True) if not ready)
        return Readiness(
            ready=not missing, waiting_for=missing, facts={"unfinished_jobs": len(self._running)}
        )

    async def _accept(self, kind: JobKind, subject_id: str, request: Mapping[str, object]) -> Job:
        self.require_room()
        job = Job(
            id=str(uuid.uuid4()),
            kind=kind,
            state=JobState.QUEUED,
            subject_id=subject_id,
            request=request,
            created_at=utc_now(),
        )
        await answer(self._steps.ledger.create_job.remote(job))
        self._start(job)
        return job

    def _start(self, job: Job) -> None:
        task = asyncio.create_task(self._run(job), name=job.id)
        self._running[job.id] = task
        UNFINISHED.set(len(self._running))
        task.add_done_callback(lambda _: self._forget(job.id))

    def _forget(self, job_id: str) -> None:
        self._running.pop(job_id, None)
        UNFINISHED.set(len(self._running))

    async def _run(self, job: Job) -> None:
        async with self._slots:
            await answer(self._steps.ledger.start_job.remote(job.id))
            try:
                async with asyncio.timeout(self._settings.serve.job_timeout_s):
                    await self._perform(job)
                ended = dataclasses.replace(job, state=JobState.DONE)
            except DublError as exc:
                ended = await self._fail(job, exc)
            except TimeoutError:
                late = f"the job took longer than {self._settings.serve.job_timeout_s:g} s"
                ended = await self._fail(job, DeadlineExceeded(late))
            except Exception:
                logger.exception("job %s failed unexpectedly", job.id)
                ended = await self._fail(job, DublError("the service failed; see its log"))
            self._discard_upload(job)
            count_job(ended)

    async def _fail(self, job: Job, error: DublError) -> Job:
        logger.warning("job %s failed: %s: %s", job.id, error.code, error.detail)
        await answer(self._steps.ledger.fail_job.remote(job.id, error.code, error.detail))
        return dataclasses.replace(job, state=JobState.FAILED, error_code=error.code)

    async def _perform(self, job: Job) -> None:
        if job.kind is JobKind.CHECK:
            await self._check(job, CHECK_ORDER.validate_python(job.request))
        else:
            await self._register(job, REFERENCE_ORDER.validate_python(job.request))

    def _discard_upload(self, job: Job) -> None:
        # Only once the ledger knows how the job ended: until then it may have to run again.
        adapter = CHECK_ORDER if job.kind is JobKind.CHECK else REFERENCE_ORDER
        upload = adapter.validate_python(job.request).video.upload
        if upload is not None:
            self._spool.remove(upload)

    async def _check(self, job: Job, order: CheckOrder) -> None:
        started = time.perf_counter()
        source = await self._obtain(order.video)
        obtained = time.perf_counter()
        try:
            verdict = await self._flow.check(
                source,
                libraries=order.libraries,
                exclude_ids=[order.self_id] if order.self_id else [],
                registered_before=await self._registered_at(order.self_id),
            )
        finally:
            self._discard_download(order.video, source)
        timings = {
            "source": (obtained - started) * 1000,
            **verdict.timings_ms,
            "total": (time.perf_counter() - started) * 1000,
        }
        verdict = dataclasses.replace(verdict, timings_ms=timings)
        check = Check(
            id=order.id,
            query_name=source.name,
            query_sha256=source.sha256,
            libraries=order.libraries,
            created_at=job.created_at,
            verdict=verdict,
        )
        await answer(self._steps.ledger.record_check.remote(job.id, check))
        count_verdict(verdict)
        shown = ", ".join(f"{stage} {value:.0f}" for stage, value in timings.items())
        logger.info("check %s: %s (ms: %s)", order.id, verdict.outcome.value, shown)

    async def _register(self, job: Job, order: ReferenceOrder) -> None:
        source = await self._obtain(order.video)
        try:
            registration = await self._flow.register(source, order.draft)
        finally:
            self._discard_download(order.video, source)
        result = registration.reference.id
        await answer(self._steps.ledger.finish_job.remote(job.id, result, registration.created))
        logger.info("reference %s: created %s", result, registration.created)

    async def _obtain(self, video: VideoInput) -> VideoSource:
        media = self._settings.media
        if video.upload is not None:
            return video.upload
        if video.link:
            return await asyncio.to_thread(
                fetch_link, video.link, spool_dir=self._settings.spool_dir, settings=media
            )
        return await asyncio.to_thread(open_path, video.path, settings=media)

    def _discard_download(self, video: VideoInput, source: VideoSource) -> None:
        if video.link:
            self._spool.remove(source)

    async def _registered_at(self, reference_id: str) -> str:
        """When this reference was registered; nothing when it is none."""
        if not reference_id:
            return ""
        try:
            return (await self.get_reference(reference_id)).created_at
        except ReferenceNotFound:
            return ""


async def _is_ready(call: Awaitable[bool]) -> bool:
    try:
        async with asyncio.timeout(5):
            return await answer(call)
    except (DublError, TimeoutError):
        return False


def utc_now() -> str:
    """Now, UTC, ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
