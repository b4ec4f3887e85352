"""The service without what works on videos: the true routes, jobs and ledger over steps that answer
as a test says."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from fastapi import FastAPI

from dubl.contract.orders import (
    CheckOrder,
    Order,
    ReferenceChange,
    ReferenceOrder,
    Terms,
    VideoInput,
    order_of,
)
from dubl.engine.engine import make_engine
from dubl.engine.flow import Lane, Steps
from dubl.engine.handles import LocalHandle, LocalStep, Step
from dubl.engine.jobs import Jobs
from dubl.engine.runner import Ended
from dubl.engine.shell import Shell
from dubl.errors import DublError, EvidenceNotKept, Overloaded, no_reference
from dubl.index.spaces import Holding
from dubl.ledger.api_keys import make_key
from dubl.ledger.guard import QUARANTINES
from dubl.rights.terms import ExcludedSegment
from dubl.settings import load_settings
from dubl.types import (
    Box,
    Check,
    Decision,
    Explanation,
    FrameFound,
    FramePair,
    FrameSpan,
    Hint,
    HintKind,
    Job,
    JobKind,
    JobRank,
    JobState,
    Match,
    Matrices,
    Outcome,
    Page,
    Quarantine,
    QuarantineState,
    Reference,
    ReferenceDraft,
    Sampling,
    Scope,
    Segment,
    Shadow,
    Space,
    StoredVideo,
    TimedMatrix,
    Verdict,
    VideoSource,
)
from serve_app.api.http import make_http_app
from tests.support.local_ledger import LocalLedger

CREATED_AT = "2026-01-02T03:04:05.000Z"
OLD, NEW = "aaaaaaaaaaaa", "bbbbbbbbbbbb"
SAMPLING = Sampling(rate_hz=1.0, min_frames=1, frame_size=96)

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
    outcome=Outcome.DUPLICATE,
)
WEAK_MATCH = dataclasses.replace(
    MATCH, reference_id="ref-2", probability=0.2, segments=(), outcome=Outcome.UNIQUE
)
FRAMES = TimedMatrix(
    similarity=np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4),
    query_times_s=np.arange(3, dtype=np.float64),
    reference_times_s=np.arange(4, dtype=np.float64),
    query_duration_s=3.0,
    reference_duration_s=4.0,
)
PAIR = FramePair(segment=0, query_s=1.5, reference_s=5.5, similarity=0.88)
REQUESTS: dict[JobKind, dict[str, object]] = {
    JobKind.CHECK: {"id": "s", "video": {"link": "https://example.org/a.mp4"}},
    JobKind.BATCH: {"id": "s", "kind": "check", "links": ["https://example.org/a.mp4"]},
}
INSET = Hint(kind=HintKind.INSET, value=0.25, box=Box(left=0.5, top=0.5, width=0.5, height=0.5))


class FakeService:
    """`ends`: the end of jobs that a request waits for, and with `prompt` of all: done, queued for
    ever, or an error, which those in `bad` (counted from 0) meet anyway. Jobs, checks, reviews and
    keys are those of a true ledger."""

    def __init__(self, data_dir: Path, *overrides: str, prompt: bool = False) -> None:
        self.settings = load_settings(
            overrides=[f"data_dir={data_dir}", *overrides], environment={}
        )
        self.settings.data_dir.mkdir(parents=True, exist_ok=True)
        self.ends: JobState | DublError = JobState.DONE
        self.prompt = prompt
        self.bad: frozenset[int] = frozenset()
        self.full = False
        self.missing: tuple[str, ...] = ()
        self.matches: tuple[Match, ...] = (MATCH, WEAK_MATCH)
        self.searched: int | None = 3
        self.library = FakeLibrarian(self)
        self.videos = FakeVideos(self)
        self.local = LocalLedger(self.settings.ledger_path)
        self.ledger = self.local.ledger
        steps = Steps(
            decoder=self._handle("decoder"),
            lanes=(self._lane(OLD), self._lane(NEW, prefix="candidate")),
            librarian=_handle(self.library),
            ledger=self.local,
        )
        engine = make_engine(steps, self.settings, send=self._end)
        self.jobs = RecordedJobs(self)
        self.engine = dataclasses.replace(engine, jobs=self.jobs, shell=FakeShell())
        self.engine.evidence._kept = self.videos  # type: ignore[assignment]

    def app(self, *, keys_required: bool = False, local: bool = False) -> FastAPI:
        return make_http_app(self.engine, keys_required=keys_required, local=local)

    def issue(
        self,
        *scopes: Scope,
        libraries: Sequence[str] = (),
        requests_per_minute: int = 0,
        jobs_per_day: int = 0,
        name: str = "test",
    ) -> str:
        """A token of a new key."""
        new = make_key(
            name,
            scopes=scopes,
            libraries=libraries,
            requests_per_minute=requests_per_minute,
            jobs_per_day=jobs_per_day,
        )
        self.ledger.keys.add(new.key)
        return new.token

    @property
    def orders(self) -> list[Order]:
        """Of all accepted jobs, the oldest first."""
        return [order_of(job) for job in reversed(self.ledger.jobs.list(limit=500).items)]

    def put(self, job_id: str, **changes: object) -> Job:
        """Brings a new job to a state; it runs where none is given."""
        job = Job(
            id=job_id,
            kind=JobKind.CHECK,
            state=JobState.QUEUED,
            subject_id="s",
            request=REQUESTS[JobKind(str(changes.get("kind", JobKind.CHECK)))],
            created_at=CREATED_AT,
        )
        wanted = dataclasses.replace(job, **{"state": JobState.RUNNING, **changes})
        jobs, dead = self.ledger.jobs, wanted.dead
        made = dataclasses.replace(wanted, state=JobState.QUEUED, dead=False)
        queued = wanted.state is JobState.QUEUED
        made = jobs.create(made, tries=1 if dead else 3, lease_s=0.0 if queued else 600.0)
        if dead:
            jobs.retry(made.lease, code=wanted.error_code, detail="", delay_s=0)
        elif wanted.state is JobState.FAILED:
            jobs.fail(made.lease, code=wanted.error_code or "not_a_video", detail="")
        elif wanted.state is JobState.RUNNING:
            jobs.report({made.lease: wanted.progress})
        elif wanted.state is JobState.DONE:
            jobs.finish(made.lease, result_id=wanted.result_id, created=True)
        return jobs.get(job_id)

    def quarantine(self, reference_id: str) -> None:
        held = Quarantine(
            reference_id=reference_id,
            library="main",
            state=QuarantineState.HELD,
            uploads=140,
            usual=2.5,
            created_at=CREATED_AT,
        )
        with self.ledger._database.transaction("quarantine") as connection:
            QUARANTINES.add(connection, held)

    def judge(self, library: str) -> None:
        """Forty decisions of people, nine of them for a copy."""
        for number in range(40):
            match = dataclasses.replace(MATCH, library=library, probability=0.5 + number / 100)
            self.matches = (match,)
            check = self.verdict_on(CheckOrder(id=f"decided-{number}", video=VideoInput()))
            self.ledger.record_check(dataclasses.replace(check, query_sha256=f"{number}"))
            decision = Decision.CONFIRMED if number > 30 else Decision.REJECTED
            self.ledger.reviews.record(
                check.id, MATCH.reference_id, decision=decision, reviewer="", note=""
            )

    def compare(self) -> None:
        """Nine shadows of the new space, seven of which agree."""
        for number in range(9):
            shadow = Shadow(
                check_id=f"{number}",
                space_id=NEW,
                model_id=f"model@{NEW}",
                outcome=Outcome.UNIQUE,
                probability=0.1,
                top_reference_id="",
                agrees=number > 1,
                created_at="2026-01-31T15:00:00.000Z",
            )
            outcome = Outcome.UNIQUE if number > 1 else Outcome.DUPLICATE
            check = self.verdict_on(CheckOrder(id=f"{number}", video=VideoInput()))
            verdict = dataclasses.replace(check.verdict, outcome=outcome)
            self.ledger.record_check(dataclasses.replace(check, verdict=verdict))
            self.ledger.spaces.record_shadow(shadow)

    def finish(self, job: Job) -> None:
        """The end of a job that is done."""
        order = order_of(job)
        if isinstance(order, CheckOrder):
            self.ledger.record_check(self.verdict_on(order), lease=job.lease)
            return
        assert isinstance(order, ReferenceOrder)
        draft = order.draft
        created = draft.id not in self.library.references
        self.library.add(draft)
        self.ledger.jobs.finish(job.lease, result_id=draft.id, created=created)

    def verdict_on(self, order: CheckOrder) -> Check:
        best = self.matches[0].probability if self.matches else 0.0
        return Check(
            id=order.id,
            query_name="upload.mp4",
            query_sha256=hashlib.sha256(order.id.encode()).hexdigest(),
            libraries=order.libraries,
            created_at=CREATED_AT,
            verdict=Verdict(
                outcome=Outcome.DUPLICATE if best >= 0.9 else Outcome.UNIQUE,
                probability=best,
                matches=self.matches,
                model_id="test-model",
                policy_version="1",
                index_version=7,
                searched=self.searched,
                timings_ms={"decode": 12.34, "total": 20.0},
            ),
        )

    async def _end(self, job_id: str, delay_s: float) -> None:
        """Does a job that a request waits for, instead of a consumer."""
        job = self.ledger.jobs.get(job_id)
        number = len(self.jobs.terms) - 1
        waited = self.prompt or job.rank is JobRank.WAITED_FOR
        if not waited or job.kind is JobKind.BATCH or self.ends is JobState.QUEUED:
            return
        claimed = self.ledger.jobs.claim_one(job_id, lease_s=600 + delay_s)
        assert claimed is not None
        if number in self.bad:
            self.ledger.jobs.fail(claimed.lease, code="no_video_stream", detail="only audio")
        elif isinstance(self.ends, DublError):
            self.ledger.jobs.fail(claimed.lease, code=self.ends.code, detail=self.ends.detail)
        else:
            self.finish(claimed)

    def go_on(self) -> None:
        """Ends what is queued."""
        for job in self.ledger.jobs.list(state=JobState.QUEUED).items:
            asyncio.run(self._end(job.id, 0.0))

    def close(self) -> None:
        self.ledger.close()

    def _handle(self, name: str) -> LocalHandle:
        return _handle(FakeStep(self, name))

    def _lane(self, space_id: str, *, prefix: str = "") -> Lane:
        space = Space(
            id=space_id,
            model_id=f"model@{space_id}",
            query=SAMPLING,
            second_pass=SAMPLING,
            reference=SAMPLING,
        )
        return Lane(
            space=space,
            embedder=self._handle(f"{prefix}embedder"),
            retriever=self._handle(f"{prefix}retriever"),
            reranker=self._handle(f"{prefix}reranker"),
        )


class FakeShell(Shell):
    async def metrics(self) -> str:
        return 'dubl_verdicts_total{outcome="unique"} 3.0\n'


class RecordedJobs(Jobs):
    """Nobody waits in vain."""

    def __init__(self, service: FakeService) -> None:
        from dubl.engine.ledger import LedgerClient

        super().__init__(
            ledger=LedgerClient(service.local), settings=service.settings, send=service._end
        )
        self._service = service
        self.waited_s: list[float] = []
        self.terms: list[Terms] = []
        self.abandoned: list[str] = []

    async def wait(self, job: Job, *, seconds: float) -> Ended:
        self.waited_s.append(seconds)
        if self._service.ends is JobState.QUEUED:
            return Ended(job=job)
        return await super().wait(job, seconds=seconds)

    def abandon(self, job: Job) -> None:
        self.abandoned.append(job.id)

    async def accept(self, order: Order, terms: Terms) -> Job:
        if self._service.full:
            raise Overloaded("256 jobs are waiting already")
        self.terms.append(terms)
        return await super().accept(order, Terms(waits=terms.waits, key_id=terms.key_id))


class FakeStep(Step):
    """Any step but the librarian."""

    def __init__(self, service: FakeService, name: str) -> None:
        self._service, self._name = service, name
        self.searches: list[tuple[float, int, list[str]]] = []

    async def ready(self) -> bool:
        return self._name not in self._service.missing

    async def decode(self, source: VideoSource, sampling: Sampling) -> float:
        assert Path(source.path).is_file()
        assert sampling.still_at_s is not None
        return sampling.still_at_s

    async def embed(self, at_s: float) -> float:
        return at_s

    async def find_frame(
        self, at_s: float, libraries: list[str], limit: int
    ) -> tuple[FrameFound, ...]:
        self._service.videos.searches.append((at_s, libraries, limit))
        found = FrameFound(
            reference_id="ref-1",
            library="main",
            similarity=0.91,
            spans=(FrameSpan(start_s=4.0, end_s=5.5),),
        )
        return (found,)[:limit]

    async def explain(self, check_id: str, match: Match) -> Explanation:
        videos = self._service.videos
        kept = match.reference_id in videos.files
        return Explanation(
            query=videos.query(check_id),
            reference=videos.reference(match.reference_id) if kept else None,
            reference_duration_s=12.0,
            pairs=(PAIR,),
            hints=(INSET,),
        )

    async def matrices(self, check_id: str, match: Match) -> Matrices:
        self._service.videos.query(check_id)
        assert match.segments
        return Matrices(frames=FRAMES, cleaned=FRAMES if self._service.videos.has_network else None)


class FakeLibrarian(Step):
    """References in memory; `lacking`: those that the new space lacks; `absent`: libraries that
    do not exist."""

    absent: frozenset[str] = frozenset({"nosuch"})

    def __init__(self, service: FakeService) -> None:
        self._service = service
        self.references: dict[str, Reference] = {}
        self.lacking = ["ref-1", "ref-2"]

    def add(self, draft: ReferenceDraft) -> Reference:
        made = Reference(
            id=draft.id,
            library=draft.library,
            title=draft.title,
            owner=draft.owner,
            metadata=draft.metadata,
            rights=draft.rights,
            source="/films/1.mp4" if draft.id == "ref-1" else "upload.mp4",
            sha256="ab" * 32,
            duration_s=12.0,
            frame_count=12,
            created_at=CREATED_AT,
        )
        self.references.setdefault(draft.id, made)
        return self.references[draft.id]

    async def ready(self) -> bool:
        return "librarian" not in self._service.missing

    async def get(self, reference_id: str) -> Reference:
        if reference_id not in self.references:
            raise no_reference(reference_id)
        return self.references[reference_id]

    async def existing(self, reference_ids: Sequence[str]) -> Sequence[Reference]:
        return [one for one in self.references.values() if one.id in reference_ids]

    async def list(
        self, library: str, owner: str, text: str, limit: int, cursor: str
    ) -> Page[Reference]:
        found = [
            one
            for one in self.references.values()
            if library in ("", one.library)
            and owner in ("", one.owner)
            and text in f"{one.id} {one.title}"
        ]
        ids = [one.id for one in found]
        if cursor not in ids:
            _refuse(cursor)
        begin = ids.index(cursor) + 1 if cursor else 0
        more = len(found) > begin + limit
        page = tuple(found[begin : begin + limit])
        return Page(items=page, next_cursor=page[-1].id if more else "")

    async def update(self, reference_id: str, change: ReferenceChange) -> Reference:
        reference = await self.get(reference_id)
        given = {
            name: value
            for name in ("title", "owner", "metadata", "rights")
            if (value := getattr(change, name)) is not None
        }
        self.references[reference_id] = dataclasses.replace(reference, **given)
        return self.references[reference_id]

    async def exclude(self, reference_id: str, segments: Sequence[ExcludedSegment]) -> Reference:
        rights = (await self.get(reference_id)).rights
        segments = (*rights.excluded_segments, *segments)
        changed = replace(rights, excluded_segments=segments)
        return await self.update(reference_id, ReferenceChange(rights=changed))

    async def delete(self, reference_id: str) -> None:
        await self.get(reference_id)
        del self.references[reference_id]

    async def forget_upload(self, check_id: str) -> None:
        self._service.videos.files.pop(check_id, None)

    async def unknown(self, libraries: Sequence[str]) -> str | None:
        return next((name for name in libraries if name in self.absent), None)

    async def told_libraries(self) -> frozenset[str]:
        return frozenset(await self.libraries())

    async def libraries(self) -> Mapping[str, int]:
        names = [one.library for one in self.references.values()]
        return {name: names.count(name) for name in names}

    async def holdings(self) -> Mapping[str, Holding]:
        lacks = len(self.lacking)
        return {
            OLD: Holding(references=5, missing=0),
            NEW: Holding(references=5 - lacks, missing=lacks),
        }

    async def missing(self, space_id: str, after_id: str, limit: int) -> Sequence[Reference]:
        found = [one for one in self.lacking if one > after_id] if space_id == NEW else []
        return [self.add(ReferenceDraft(id=one)) for one in found[:limit]]


class FakeVideos:
    """`files`: the files of kept queries and references; nothing else is kept."""

    def __init__(self, service: FakeService) -> None:
        self._service = service
        self.files: dict[str, Path] = {}
        self.has_network = True
        self.searches: list[tuple[float, Sequence[str], int]] = []

    def query(self, identifier: str) -> StoredVideo:
        if identifier not in self.files:
            raise EvidenceNotKept(f"nothing to look at is kept of '{identifier}'")
        return StoredVideo(
            id=identifier,
            name=f"{identifier}.mp4",
            duration_s=8.0,
            width=640,
            height=360,
            picture_times_s=(0.0, 0.5),
            video_path=str(self.files[identifier]),
            media_type="video/mp4",
            kept_at="2026-01-02T03:04:05Z",
        )

    reference = query

    def query_picture(self, identifier: str, at_s: float) -> bytes:
        return f"picture of {self.query(identifier).id} at {at_s}".encode()

    reference_picture = query_picture

    def remove_query(self, check_id: str) -> None:
        self.files.pop(check_id, None)


def _handle(step: Step) -> LocalHandle:
    return LocalHandle(LocalStep(lambda: step))


def _refuse(cursor: str) -> None:
    """There is one page only: no cursor is one that a page gave."""
    from dubl.errors import InvalidRequest

    if cursor:
        raise InvalidRequest("the cursor is invalid. Use next_cursor of a page.")
