"""Runs one job, and ends it in the ledger."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from dubl.assembly import make_spool
from dubl.contract.links import shown_link
from dubl.contract.orders import (
    BatchOrder,
    CheckOrder,
    Order,
    ReferenceOrder,
    VideoInput,
    new_job,
    order_of,
)
from dubl.engine.flow import Flow, Question, Steps
from dubl.engine.handles import OnStage
from dubl.engine.ledger import LedgerClient
from dubl.engine.lookback import Lookback
from dubl.engine.shadows import Shadows
from dubl.engine.shell import Shell
from dubl.errors import AlreadyRegistered, DublError, LeaseLost, ReferenceNotFound
from dubl.index.uploads import Upload
from dubl.ledger.job_queue import JobQueue
from dubl.ledger.ledger import Claim, Ledger
from dubl.media.archives import ArchiveEntry, unpack
from dubl.media.links import fetch_link
from dubl.media.sources import open_path
from dubl.rights.terms import UNRESTRICTED
from dubl.settings import Settings
from dubl.types import (
    Check,
    Job,
    JobKind,
    JobRank,
    JobState,
    PriorDecisions,
    Reference,
    ReferenceDraft,
    Registration,
    Verdict,
    VideoSource,
)

Given = TypeVar("Given")
Got = TypeVar("Got")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The result of a successful job."""

    check: Check | None = None
    registration: Registration | None = None


NOTHING = Done()


class Work:
    """Runs all kinds of jobs. A method may run twice for one job: only the holder of its lease ends
    it."""

    def __init__(
        self, *, steps: Steps, flow: Flow, ledger: LedgerClient, settings: Settings, shell: Shell
    ) -> None:
        self._steps = steps
        self._flow = flow
        self._ledger = ledger
        self._settings = settings
        self._shell = shell
        self._lookback = Lookback(steps=steps, flow=flow, ledger=ledger, settings=settings)
        share = settings.candidate.shadow_share
        self._shadows = (
            Shadows(flow=flow, ledger=ledger, share=share, shell=shell)
            if share and len(steps.lanes) > 1
            else None
        )
        self._spool = make_spool(settings)
        # A slow server holds up no more than its own job. Threads begin when they are needed.
        jobs = settings.serve.max_concurrent_jobs
        self._sources = ThreadPoolExecutor(jobs, thread_name_prefix="source")

    async def perform(self, job: Job, order: Order | None, on_stage: OnStage) -> Done:
        """Runs a job; without an `order` at hand, that which the job carries.

        Raises the DublError that ends the attempt, or LeaseLost if another worker owns it.
        """
        order = order or order_of(job)
        if isinstance(order, CheckOrder):
            return Done(check=await self._check(job, order, on_stage))
        if isinstance(order, ReferenceOrder):
            return Done(registration=await self._register(job, order, on_stage))
        if isinstance(order, BatchOrder):
            await self._expand(job, order, on_stage)
        else:
            await self._lookback.perform(job, order, on_stage)
        return NOTHING

    async def discard_upload(self, job: Job, order: Order | None) -> None:
        """Removes the upload of a job that has ended in the ledger; before, it may run again."""
        file = (order or order_of(job)).file
        if file is not None:
            await self._remove(job, file)

    async def _check(self, job: Job, order: CheckOrder, on_stage: OnStage) -> Check:
        if order.earlier is not None:
            verdict = await self._lookback.check(order, order.earlier, now=job.created_at)
            name, sha256 = order.earlier.name, order.earlier.sha256
            return await self._record(job, order, verdict, name=name, sha256=sha256)
        started = time.perf_counter()
        source = await self._obtain(order.video, on_stage)
        source_ms = (time.perf_counter() - started) * 1000
        claim = Claim(
            check_id=order.id,
            job_id=job.id,
            query_sha256=source.sha256,
            libraries=frozenset(order.libraries),
            context=order.context,
        )
        asked = self._ledger.ask(Ledger.prior_decisions, source.sha256, claim=claim)
        prior = asyncio.ensure_future(asked)
        prior.add_done_callback(_heard)
        try:
            question = Question(
                libraries=order.libraries,
                exclude_ids=[order.self_id] if order.self_id else [],
                registered_before=await self._registered_at(order.self_id),
                prior=prior,
                context=order.context.at(job.created_at),
                reference_id=order.reference_id,
            )
            verdict = await self._flow.check(
                source,
                question,
                space_id=job.space_id,
                check_id=order.id,
                upload=_upload(job, order, source),
                on_stage=on_stage,
            )
            total_ms = (time.perf_counter() - started) * 1000
            timings = {"source": source_ms, **verdict.timings_ms, "total": total_ms}
            verdict = dataclasses.replace(verdict, timings_ms=timings)
            check = await self._record(job, order, verdict, name=source.name, sha256=source.sha256)
            if self._shadows is not None:
                self._shadows.begin(job, source, question, check)
            return check
        finally:
            prior.cancel()
            if order.video.link:
                await self._remove(job, source)

    async def _record(
        self, job: Job, order: CheckOrder, verdict: Verdict, *, name: str, sha256: str
    ) -> Check:
        check = Check(
            id=order.id,
            query_name=name,
            query_sha256=sha256,
            libraries=order.libraries,
            created_at=job.created_at,
            verdict=verdict,
            earlier_id=order.earlier.check_id if order.earlier is not None else "",
        )
        earlier = await self._ledger.ask(Ledger.record_check, check, lease=job.lease)
        self._shell.count_verdict(verdict)
        shown = ", ".join(f"{stage} {ms:.0f}" for stage, ms in verdict.timings_ms.items())
        logger.info("check %s: %s (ms: %s)", order.id, verdict.outcome.value, shown)
        return earlier or check

    async def _register(self, job: Job, order: ReferenceOrder, on_stage: OnStage) -> Registration:
        source = await self._obtain(order.video, on_stage)
        try:
            registration = await self._flow.register(
                source, order.draft, again=job.attempts > 1, on_stage=on_stage
            )
        finally:
            if order.video.link:
                await self._remove(job, source)
        if not registration.created:
            require_as_asked(order, registration.reference)
        result = registration.reference.id
        # An attempt before this one may have got as far as the library, and no farther.
        again = job.attempts > 1 and result == order.draft.id
        if registration.created or again:
            await self._lookback.queue(job, registration.reference)
        try:
            await self._ledger.ask(
                JobQueue.finish, job.lease, result_id=result, created=registration.created
            )
        except LeaseLost:
            # A reference that was deleted while its registration ran must not come back.
            made = registration.created or again
            if made and (await self._ledger.ask(JobQueue.get, job.id)).state is JobState.CANCELLED:
                await self._steps.librarian.withdraw.remote(result, job.created_at)
            raise
        logger.info("reference %s: created %s", result, registration.created)
        return registration

    async def _expand(self, job: Job, order: BatchOrder, on_stage: OnStage) -> None:
        on_stage("unpack")
        inputs: Iterable[tuple[str, VideoInput | DublError]]
        if order.archive is None:
            inputs = [(shown_link(link), VideoInput(link=link)) for link in order.links]
        else:
            entries = await self._fetched(self._unpack, order.archive)
            inputs = [(entry.name, _input_of(entry)) for entry in entries]
        children = [
            _child(job, order, number, name, video) for number, (name, video) in enumerate(inputs)
        ]
        refused = await self._ledger.ask(
            JobQueue.expand,
            job.lease,
            children,
            tries=self._settings.serve.job_tries,
            further_jobs=max(0, len(children) - 1) if order.archive is not None else 0,
            jobs_per_day=self._settings.access.jobs_per_day,
        )
        for child in refused:
            await self.discard_upload(child, None)
        logger.info("batch %s: %d videos", job.id, len(children))

    def _unpack(self, archive: VideoSource) -> Sequence[ArchiveEntry]:
        with self._spool.local(archive) as file:
            return unpack(
                file.path,
                spool=self._spool,
                max_entries=self._settings.serve.max_batch_items,
                max_size_bytes=self._settings.media.max_size_bytes,
            )

    async def _obtain(self, video: VideoInput, on_stage: OnStage) -> VideoSource:
        media = self._settings.media
        if video.upload is not None:
            return video.upload
        on_stage("source")
        if video.link:
            return await self._fetched(self._fetch, video.link)
        return await self._fetched(partial(open_path, settings=media), video.path)

    async def _fetched(self, get: Callable[[Given], Got], given: Given) -> Got:
        """The result of work that waits for others: a server, a share, a large file."""
        run = partial(copy_context().run, get, given)
        return await asyncio.get_running_loop().run_in_executor(self._sources, run)

    def _fetch(self, link: str) -> VideoSource:
        spool_dir, media = self._settings.spool_dir, self._settings.media
        return self._spool.share(fetch_link(link, spool_dir=spool_dir, settings=media))

    async def _remove(self, job: Job, file: VideoSource) -> None:
        """Removes a file of the spool, after the job's shadow, if any, has read it."""
        remove = partial(self._spool.remove, file)
        if self._shadows is not None:
            await self._shadows.removed(job, remove)
        else:
            await asyncio.to_thread(remove)

    async def _registered_at(self, reference_id: str) -> str:
        """Registration time of the reference; empty if it is none."""
        if not reference_id:
            return ""
        try:
            found: Reference = await self._steps.librarian.get.remote(reference_id)
        except ReferenceNotFound:
            return ""
        return found.created_at


def _heard(prior: asyncio.Future[PriorDecisions]) -> None:
    """An error that nobody awaits, as another came first, is no news."""
    if not prior.cancelled():
        prior.exception()


def require_as_asked(order: ReferenceOrder, known: Reference) -> None:
    """Raises AlreadyRegistered if the known reference is not what the caller asked for."""
    draft = order.draft
    asked = {
        "id": (order.own_id, draft.id == known.id),
        "owner": (draft.owner, draft.owner == known.owner),
        "metadata": (draft.metadata, dict(draft.metadata) == dict(known.metadata)),
        "rights": (draft.rights != UNRESTRICTED, draft.rights == known.rights),
    }
    other = [name for name, (given, same) in asked.items() if given and not same]
    if other:
        raise AlreadyRegistered(
            f"these bytes are reference '{known.id}' already, with another {', '.join(other)}",
            context={"existing_id": known.id},
        )


def _upload(job: Job, order: CheckOrder, source: VideoSource) -> Upload:
    """The stored form of a checked video, in which later references are searched."""
    return Upload(
        check_id=order.id,
        name=source.name,
        sha256=source.sha256,
        libraries=order.libraries,
        callbacks=job.callbacks,
        context=order.context,
    )


def _input_of(entry: ArchiveEntry) -> VideoInput | DublError:
    return entry.error or VideoInput(upload=entry.source)


def _child(
    batch: Job, order: BatchOrder, number: int, name: str, video: VideoInput | DublError
) -> Job:
    """A job of a batch. Ids are derived from the batch, so expanding it twice creates each job
    once."""
    identity = str(uuid.uuid5(uuid.UUID(batch.id), f"{number}"))
    given = VideoInput(lost=name) if isinstance(video, DublError) else video
    ordered: Order
    if order.kind is JobKind.CHECK:
        ordered = CheckOrder(
            id=identity, video=given, libraries=order.libraries, context=order.context
        )
    else:
        draft = ReferenceDraft(
            id=identity,
            library=order.libraries[0],
            title=name,
            owner=order.owner,
            rights=order.rights,
        )
        ordered = ReferenceOrder(video=given, draft=draft)
    child = new_job(
        ordered,
        job_id=str(uuid.uuid5(uuid.UUID(batch.id), f"job {number}")),
        created_at=batch.created_at,
        rank=JobRank.CHILD,
        parent_id=batch.id,
        request_id=batch.request_id,
        traceparent=batch.traceparent,
        key_id=batch.key_id,
    )
    if isinstance(video, DublError):
        return dataclasses.replace(
            child,
            state=JobState.FAILED,
            finished_at=batch.created_at,
            error_code=video.code,
            error_detail=video.detail,
        )
    return child
