"""A Service in memory: jobs end as a test says, for tests of the HTTP layer alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from serve_app.api.service import Readiness

from dubl.contract.orders import (
    BatchOrder,
    CheckOrder,
    FrameSearch,
    JobFilter,
    ReferenceChange,
    ReferenceFilter,
    ReferenceOrder,
    Terms,
)
from dubl.errors import (
    CheckNotFound,
    DublError,
    InvalidRequest,
    NotFound,
    Overloaded,
    ReferenceNotFound,
    StateConflict,
)
from dubl.types import (
    Check,
    Delivery,
    DeliveryState,
    FrameFound,
    Job,
    JobKind,
    JobState,
    Match,
    Outcome,
    Page,
    Reference,
    Segment,
    Verdict,
)
from tests.support.fake_desk import FakeDesk
from tests.support.fake_switchboard import FakeSwitchboard

CREATED_AT = "2026-01-02T03:04:05.000Z"

MATCH = Match(
    reference_id="ref-1",
    library="main",
    similarity=0.91,
    probability=0.97,
    segments=(
        Segment(
            query_start_s=0.0,
            query_end_s=8.0,
            reference_start_s=4.0,
            reference_end_s=12.0,
            similarity=0.9,
        ),
    ),
)
WEAK_MATCH = dataclasses.replace(MATCH, reference_id="ref-2", probability=0.2, segments=())


class FakeService:
    """`ends`: what becomes of submitted jobs: done, queued for ever, or the error they meet."""

    def __init__(self, *, ends: JobState | DublError = JobState.DONE) -> None:
        self.ends = ends
        self.full = False
        self.desk = FakeDesk()
        self.switchboard = FakeSwitchboard()
        self.missing: tuple[str, ...] = ()
        self.matches: tuple[Match, ...] = (MATCH, WEAK_MATCH)
        self.orders: list[CheckOrder | ReferenceOrder] = []
        self.jobs: dict[str, Job] = {}
        self.references: dict[str, Reference] = {}
        self.checks: dict[str, Check] = {}
        self.waited_s: list[float] = []
        self.terms: list[Terms] = []
        self.batches: list[BatchOrder] = []
        self.abandoned: list[str] = []
        self.searches: list[FrameSearch] = []
        self.deliveries: dict[str, Delivery] = {}

    @contextmanager
    def room(self, *, waits: bool) -> Iterator[None]:
        if self.full:
            raise Overloaded("256 jobs are waiting already", context={"waits": waits})
        yield

    async def submit_check(self, order: CheckOrder, terms: Terms) -> Job:
        self.orders.append(order)
        self.terms.append(terms)
        return self._job(JobKind.CHECK, order.id)

    async def submit_reference(self, order: ReferenceOrder, terms: Terms) -> Job:
        self.orders.append(order)
        self.terms.append(terms)
        return self._job(JobKind.REFERENCE, order.draft.id)

    async def submit_batch(self, order: BatchOrder, terms: Terms) -> Job:
        self.batches.append(order)
        self.terms.append(terms)
        return self._job(JobKind.BATCH, order.id)

    def abandon(self, job: Job) -> None:
        self.abandoned.append(job.id)

    async def cancel_job(self, job_id: str) -> Job:
        job = await self.get_job(job_id)
        if job.state.ended:
            raise StateConflict(f"the job is {job.state} already")
        self.jobs[job_id] = dataclasses.replace(job, state=JobState.CANCELLED)
        return self.jobs[job_id]

    async def requeue_job(self, job_id: str) -> Job:
        job = await self.get_job(job_id)
        if not job.dead:
            raise StateConflict("only a dead job can be queued again")
        self.jobs[job_id] = dataclasses.replace(job, state=JobState.QUEUED, dead=False)
        return self.jobs[job_id]

    async def count_children(self, job_id: str) -> Mapping[JobState, int]:
        children = [job.state for job in self.jobs.values() if job.parent_id == job_id]
        return {state: children.count(state) for state in JobState}

    async def list_deliveries(
        self, *, job_id: str, state: DeliveryState | None, limit: int, cursor: str
    ) -> Page[Delivery]:
        _refuse(cursor)
        found = [
            delivery
            for delivery in self.deliveries.values()
            if job_id in ("", delivery.job_id) and state in (None, delivery.state)
        ]
        return Page(items=tuple(found[:limit]), next_cursor="")

    async def replay_delivery(self, delivery_id: str) -> Delivery:
        if delivery_id not in self.deliveries:
            raise NotFound(f"there is no delivery '{delivery_id}'")
        return self.deliveries[delivery_id]

    def _job(self, kind: JobKind, subject_id: str) -> Job:
        job = Job(
            id=f"job-{len(self.jobs)}",
            kind=kind,
            state=JobState.QUEUED,
            subject_id=subject_id,
            request={},
            created_at=CREATED_AT,
        )
        self.jobs[job.id] = job
        return job

    async def wait(self, job: Job, *, seconds: float) -> Job:
        self.waited_s.append(seconds)
        if seconds == 0 or self.ends is JobState.QUEUED:
            return job
        if isinstance(self.ends, DublError):
            ended = dataclasses.replace(
                job,
                state=JobState.FAILED,
                error_code=self.ends.code,
                error_detail=self.ends.detail,
            )
        else:
            created = job.subject_id not in self.references
            self._finish(job)
            ended = dataclasses.replace(
                job, state=JobState.DONE, result_id=job.subject_id, created=created
            )
        self.jobs[job.id] = ended
        return ended

    def _finish(self, job: Job) -> None:
        order = next(order for order in self.orders if _subject(order) == job.subject_id)
        if isinstance(order, ReferenceOrder):
            self.references[job.subject_id] = Reference(
                id=order.draft.id,
                library=order.draft.library,
                title=order.draft.title,
                owner=order.draft.owner,
                metadata=order.draft.metadata,
                rights=order.draft.rights,
                source=order.video.link or "upload.mp4",
                sha256="ab" * 32,
                duration_s=12.0,
                frame_count=12,
                created_at=CREATED_AT,
            )
            return
        best = self.matches[0].probability if self.matches else 0.0
        self.checks[job.subject_id] = Check(
            id=order.id,
            query_name="upload.mp4",
            query_sha256="cd" * 32,
            libraries=order.libraries,
            created_at=CREATED_AT,
            verdict=Verdict(
                outcome=Outcome.DUPLICATE if best >= 0.9 else Outcome.UNIQUE,
                probability=best,
                matches=self.matches,
                model_id="test-model",
                policy_version="1",
                index_version=7,
                timings_ms={"decode": 12.34, "total": 20.0},
            ),
        )

    async def get_job(self, job_id: str) -> Job:
        if job_id not in self.jobs:
            raise NotFound(f"there is no job {job_id}")
        return self.jobs[job_id]

    async def find_job(self, subject_id: str) -> Job:
        found = [job for job in self.jobs.values() if job.subject_id == subject_id]
        if not found:
            raise NotFound(f"nothing is known of {subject_id}")
        return found[-1]

    async def list_jobs(self, wanted: JobFilter, *, limit: int, cursor: str) -> Page[Job]:
        _refuse(cursor)
        found = [
            job
            for job in self.jobs.values()
            if wanted.state in (None, job.state)
            and wanted.dead in (None, job.dead)
            and wanted.parent_id in ("", job.parent_id)
        ]
        return Page(items=tuple(found[:limit]), next_cursor="")

    async def get_check(self, check_id: str) -> Check:
        if check_id not in self.checks:
            raise CheckNotFound(f"there is no check {check_id}")
        return self.checks[check_id]

    async def list_checks(
        self, *, outcome: Outcome | None, reference_id: str, limit: int, cursor: str
    ) -> Page[Check]:
        _refuse(cursor)
        found = [
            check
            for check in self.checks.values()
            if outcome in (None, check.verdict.outcome)
            and reference_id in ("", check.verdict.matches[0].reference_id)
        ]
        return Page(items=tuple(found[:limit]), next_cursor="more" if len(found) > limit else "")

    async def get_reference(self, reference_id: str) -> Reference:
        if reference_id not in self.references:
            raise ReferenceNotFound(f"there is no reference {reference_id}")
        return self.references[reference_id]

    async def list_references(
        self, wanted: ReferenceFilter, *, limit: int, cursor: str
    ) -> Page[Reference]:
        _refuse(cursor)
        found = [
            reference
            for reference in self.references.values()
            if wanted.library in ("", reference.library) and wanted.owner in ("", reference.owner)
        ]
        return Page(items=tuple(found[:limit]), next_cursor="")

    async def update_reference(self, reference_id: str, change: ReferenceChange) -> Reference:
        reference = await self.get_reference(reference_id)
        given = {
            name: value
            for name in ("title", "owner", "metadata", "rights")
            if (value := getattr(change, name)) is not None
        }
        self.references[reference_id] = dataclasses.replace(reference, **given)
        return self.references[reference_id]

    async def delete_reference(self, reference_id: str) -> None:
        await self.get_reference(reference_id)
        del self.references[reference_id]

    async def search_frame(self, search: FrameSearch) -> Sequence[FrameFound]:
        self.searches.append(search)
        assert Path(search.source.path).is_file()
        return [
            FrameFound(reference_id="ref-1", library="main", similarity=0.91, times_s=(4.0, 5.5))
        ][: search.limit]

    async def libraries(self) -> Mapping[str, int]:
        names = [reference.library for reference in self.references.values()]
        return {name: names.count(name) for name in names}

    async def metrics(self) -> str:
        return 'dubl_verdicts_total{outcome="unique"} 3.0\n'

    async def readiness(self) -> Readiness:
        reasons = dict.fromkeys(self.missing, "is starting")
        return Readiness(ready=not self.missing, waiting_for=self.missing, reasons=reasons)


def _subject(order: CheckOrder | ReferenceOrder) -> str:
    return order.id if isinstance(order, CheckOrder) else order.draft.id


def _refuse(cursor: str) -> None:
    """There is one page only: no cursor is one that a page gave."""
    if cursor:
        raise InvalidRequest("the cursor is invalid. Use next_cursor of a page.")
