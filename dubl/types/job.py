"""Jobs, and the webhooks about their end."""

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
    """Priority of a job: the lowest rank first, and within a rank the oldest job."""

    WAITED_FOR = 0
    ORDINARY = 1
    CHILD = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to finish a job. Each attempt has its own; only the latest is valid."""

    job_id: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Progress of a running job: its current step, and the finished share of the usual work."""

    stage: str = ""
    share: float = 0.0


NO_PROGRESS = Progress()


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """An accepted job. Times are UTC, ISO 8601, empty until they happen.

    subject_id: id of the requested check, reference or batch. request: all that is needed to run
    the job again. result_id: id of the result; for bytes that were registered before, the existing
    reference, with `created` false, also if the registration was refused. error_code,
    error_detail: the last error. dead: given up after the last attempt; it can be queued again.
    callbacks: addresses of webhooks. request_id, traceparent (W3C), key_id: of the accepting
    request. space_id: feature space of this attempt; empty: that of `model.weights`.
    """

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
    key_id: str = ""

    @property
    def lease(self) -> Lease:
        return Lease(job_id=self.id, attempt=self.attempts)


class DeliveryState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A webhook about a finished job, sent to one address until it answers or a day has passed.

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
