"""Bodies of answers, and the one conversion from domain objects to them."""

from __future__ import annotations

import math
from collections.abc import Mapping

from pydantic import BaseModel, Field

from dubl.rights.terms import Action
from dubl.types import (
    Check,
    Delivery,
    DeliveryState,
    Job,
    JobState,
    Match,
    Outcome,
    Reference,
    Segment,
)
from serve_app.api.rights_schemas import ContextBody, RightsBody, RulingBody


class SegmentBody(BaseModel):
    """A common stretch, seconds of either side."""

    query_start_s: float
    query_end_s: float
    reference_start_s: float
    reference_end_s: float
    similarity: float
    speed: float
    reversed: bool

    @classmethod
    def of(cls, segment: Segment) -> SegmentBody:
        return cls(
            query_start_s=_seconds(segment.query_start_s),
            query_end_s=_seconds(segment.query_end_s),
            reference_start_s=_seconds(segment.reference_start_s),
            reference_end_s=_seconds(segment.reference_end_s),
            similarity=_share(segment.similarity),
            speed=round(segment.speed, 3),
            reversed=segment.reversed,
        )


class MatchBody(BaseModel):
    """`agreement`: how alike the pixels of both move, 0 to 1, where the features left doubt and
    pictures of the reference are kept, or its file can be read."""

    reference_id: str
    library: str
    similarity: float
    probability: float
    agreement: float | None
    rejected: bool
    rights: RulingBody
    segments: list[SegmentBody]

    @classmethod
    def of(cls, match: Match) -> MatchBody:
        return cls(
            reference_id=match.reference_id,
            library=match.library,
            similarity=_share(match.similarity),
            probability=_share(match.probability),
            agreement=None if match.agreement is None else _share(match.agreement),
            rejected=match.rejected,
            rights=RulingBody.of(match),
            segments=[SegmentBody.of(segment) for segment in match.segments],
        )


class CheckBody(BaseModel):
    """A finished check. `action`: the strictest that owners want done; "allow" when unique."""

    id: str
    status: str
    outcome: str
    action: Action
    probability: float
    matches: list[MatchBody]
    context: ContextBody
    libraries: list[str]
    query_name: str
    query_sha256: str
    created_at: str
    earlier_id: str | None = Field(
        description="the first check of this upload, from before the reference was registered"
    )
    model_id: str
    policy_version: str
    index_version: int
    damaged: bool = Field(description="part of the file could not be read; this is of the rest")
    timings_ms: dict[str, float]

    @classmethod
    def of(cls, check: Check, *, min_probability: float, by_policy: bool = False) -> CheckBody:
        """With matches from `min_probability` on; `by_policy`: those from the review threshold of
        their own library on, with `min_probability` for matches that know none."""
        verdict = check.verdict
        shown = [
            match
            for match in verdict.matches
            if _is_shown(match, min_probability, by_policy=by_policy)
            # What a person has rejected is shown to those who ask for everything.
            and not (match.rejected and min_probability > 0)
        ]
        return cls(
            id=check.id,
            status=JobState.DONE,
            outcome=verdict.outcome,
            action=Action.ALLOW if verdict.outcome is Outcome.UNIQUE else verdict.action,
            context=ContextBody.of(verdict.context),
            probability=_share(verdict.probability),
            matches=[MatchBody.of(match) for match in shown],
            libraries=list(check.libraries),
            query_name=check.query_name,
            query_sha256=check.query_sha256,
            created_at=check.created_at,
            earlier_id=check.earlier_id or None,
            model_id=verdict.model_id,
            policy_version=verdict.policy_version,
            index_version=verdict.index_version,
            damaged=verdict.damaged,
            timings_ms={name: round(value, 1) for name, value in verdict.timings_ms.items()},
        )


class CheckPage(BaseModel):
    items: list[CheckBody]
    next_cursor: str | None


class ReferenceBody(BaseModel):
    id: str
    library: str
    status: str
    title: str
    owner: str
    metadata: dict[str, object]
    rights: RightsBody
    source: str
    sha256: str
    duration_s: float
    frame_count: int
    created_at: str
    damaged: bool = Field(description="only the readable part of its file is in the library")

    @classmethod
    def of(cls, reference: Reference) -> ReferenceBody:
        return cls(
            id=reference.id,
            library=reference.library,
            status="ready",
            title=reference.title,
            owner=reference.owner,
            metadata=dict(reference.metadata),
            rights=RightsBody.of(reference.rights),
            source=reference.source,
            sha256=reference.sha256,
            duration_s=_seconds(reference.duration_s),
            frame_count=reference.frame_count,
            created_at=reference.created_at,
            damaged=reference.damaged,
        )


class ReferencePage(BaseModel):
    items: list[ReferenceBody]
    next_cursor: str | None


class LibraryBody(BaseModel):
    name: str
    references: int


class LibraryList(BaseModel):
    items: list[LibraryBody]


class AcceptedBody(BaseModel):
    """Work that goes on: `status` is queued or running; failed comes with `error`."""

    id: str
    job_id: str
    status: str
    error: dict[str, object] | None = None


class JobBody(BaseModel):
    """`name`: what the caller called the video; `stage` and `progress` (a share of the usual work)
    while it runs; `children` counts those of a batch by status."""

    id: str
    kind: str
    name: str
    status: str
    subject_id: str
    attempts: int
    created_at: str
    finished_at: str | None
    error: dict[str, object] | None
    stage: str
    progress: float
    result_id: str | None
    batch_id: str | None
    dead: bool
    children: dict[str, int] | None

    @classmethod
    def of(
        cls,
        job: Job,
        *,
        name: str,
        error: dict[str, object] | None,
        children: Mapping[JobState, int] | None = None,
    ) -> JobBody:
        return cls(
            id=job.id,
            kind=job.kind,
            name=name,
            status=job.state,
            subject_id=job.subject_id,
            attempts=job.attempts,
            created_at=job.created_at,
            finished_at=job.finished_at or None,
            error=error,
            stage=job.progress.stage,
            progress=_progress(job, children),
            result_id=job.result_id or None,
            batch_id=job.parent_id or None,
            dead=job.dead,
            children=None if children is None else {str(k): v for k, v in children.items()},
        )


class DeliveryBody(BaseModel):
    id: str
    job_id: str
    url: str
    status: str
    attempts: int
    http_status: int | None
    error: str | None
    created_at: str
    next_attempt_at: str | None
    delivered_at: str | None

    @classmethod
    def of(cls, delivery: Delivery) -> DeliveryBody:
        pending = delivery.state is DeliveryState.PENDING
        return cls(
            id=delivery.id,
            job_id=delivery.job_id,
            url=delivery.url,
            status=delivery.state,
            attempts=delivery.attempts,
            http_status=delivery.status or None,
            error=delivery.error or None,
            created_at=delivery.created_at,
            next_attempt_at=delivery.next_attempt_at if pending else None,
            delivered_at=delivery.delivered_at or None,
        )


class DeliveryPage(BaseModel):
    items: list[DeliveryBody]
    next_cursor: str | None


class JobPage(BaseModel):
    items: list[JobBody]
    next_cursor: str | None


class LegacyBody(BaseModel):
    """The original client's answer."""

    is_duplicate: bool
    duplicate_for: str


def _is_shown(match: Match, min_probability: float, *, by_policy: bool) -> bool:
    if by_policy and match.outcome is not None:
        return match.outcome is not Outcome.UNIQUE
    return match.probability >= min_probability


def _progress(job: Job, children: Mapping[JobState, int] | None) -> float:
    if job.state is JobState.DONE:
        return 1.0
    total = sum(children.values()) if children else 0
    if children is None or total == 0:
        return job.progress.share
    return _share(sum(count for state, count in children.items() if state.ended) / total)


def _seconds(value: float) -> float:
    return round(value, 3)


def _share(value: float) -> float:
    # Rounded down: .99996 must not be shown as reaching a threshold of 1.
    return math.floor(value * 1e4) / 1e4
