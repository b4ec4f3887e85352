"""Accepted work, and the webhooks that tell of its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum


class JobKind(StrEnum):
    CHECK = "check"
    REFERENCE = "reference"
    BATCH = "batch"
    LOOKBACK = "lookback"


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self not in (JobState.QUEUED, JobState.RUNNING)


class JobRank(IntEnum):
    """Which jobs are taken first; within a rank, the oldest."""

    WAITED_FOR = 0
    ORDINARY = 1
    CHILD = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to end a job. Each attempt has its own; only the latest counts."""

    job_id: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a running job is: what it does, and the share of the usual work that is done."""

    stage: str = ""
    share: float = 0.0


NO_PROGRESS = Progress()


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Accepted work. `subject_id` is the id of the check, reference or batch asked for; `request`
    holds what is needed to run it again. `result_id` is what came out when it is done (for bytes
    that were registered before, the id of that reference, and `created` is False); `error_code`
    and `error_detail` say why it failed, or why it is tried again. `dead`: given up after its last
    try though its input may be good; it can be queued again. `callbacks` are addresses that are
    told of the end. `request_id` and `traceparent` (W3C) are those of the request that it was
    accepted by. `space_id`: the feature space that answers, as of when this attempt was handed out;
    empty for that of `model.weights`. Times are UTC, ISO 8601, empty while they lie ahead."""

    id: str
    kind: JobKind
    state: JobState
    subject_id: str
    request: Mapping[str, object]
    created_at: str
    rank: JobRank = JobRank.ORDINARY
    parent_id: str = ""
    callbacks: tuple[str, ...] = ()
    request_id: str = ""
    traceparent: str = ""
    finished_at: str = ""
    attempts: int = 0
    result_id: str = ""
    created: bool = False
    error_code: str = ""
    error_detail: str = ""
    dead: bool = False
    progress: Progress = NO_PROGRESS
    space_id: str = ""

    @property
    def lease(self) -> Lease:
        return Lease(job_id=self.id, attempt=self.attempts)


class DeliveryState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A webhook: that a job ended, told to one address until it answers or a day is over.

    `status` is the last HTTP status (0: no answer), `error` what went wrong last."""

    id: str
    job_id: str
    url: str
    state: DeliveryState
    created_at: str
    next_attempt_at: str
    attempts: int = 0
    status: int = 0
    error: str = ""
    delivered_at: str = ""
