"""What the HTTP layer asks of the application behind it. The layer knows no Ray: serve_app/jobs.py
fulfills this protocol with Serve handles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

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
from dubl.types import (
    Check,
    Delivery,
    DeliveryState,
    FrameFound,
    Job,
    JobState,
    Outcome,
    Page,
    Reference,
)
from serve_app.api.desk import Desk
from serve_app.api.switchboard import Switchboard


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether requests are taken; `waiting_for` names what is not there yet, `reasons` says why."""

    ready: bool
    waiting_for: tuple[str, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str | int] = field(default_factory=dict)


class Service(Protocol):
    """Everything that a route may call. Methods raise dubl.errors."""

    @property
    def desk(self) -> Desk: ...

    @property
    def switchboard(self) -> Switchboard: ...

    async def submit_check(self, order: CheckOrder, terms: Terms) -> Job: ...

    async def submit_reference(self, order: ReferenceOrder, terms: Terms) -> Job: ...

    async def submit_batch(self, order: BatchOrder, terms: Terms) -> Job: ...

    async def wait(self, job: Job, *, seconds: float) -> Job:
        """The job as it is when it ends, or after `seconds`."""
        ...

    def abandon(self, job: Job) -> None:
        """Cancels, in the background, a job whose only asker has gone."""
        ...

    async def cancel_job(self, job_id: str) -> Job:
        """Raises JobNotFound, StateConflict when it has ended."""
        ...

    async def requeue_job(self, job_id: str) -> Job:
        """Raises JobNotFound, StateConflict when it is not dead."""
        ...

    async def get_job(self, job_id: str) -> Job: ...

    async def find_job(self, subject_id: str) -> Job:
        """The newest job that makes this check or reference. Raises NotFound."""
        ...

    async def list_jobs(self, wanted: JobFilter, *, limit: int, cursor: str) -> Page[Job]: ...

    async def count_children(self, job_id: str) -> Mapping[JobState, int]: ...

    async def list_deliveries(
        self, *, job_id: str, state: DeliveryState | None, limit: int, cursor: str
    ) -> Page[Delivery]: ...

    async def replay_delivery(self, delivery_id: str) -> Delivery: ...

    async def get_check(self, check_id: str) -> Check: ...

    async def list_checks(
        self, *, outcome: Outcome | None, reference_id: str, limit: int, cursor: str
    ) -> Page[Check]: ...

    async def get_reference(self, reference_id: str) -> Reference: ...

    async def list_references(
        self, wanted: ReferenceFilter, *, limit: int, cursor: str
    ) -> Page[Reference]: ...

    async def update_reference(self, reference_id: str, change: ReferenceChange) -> Reference: ...

    async def delete_reference(self, reference_id: str) -> None: ...

    async def search_frame(self, search: FrameSearch) -> Sequence[FrameFound]:
        """References that show the picture, best first."""
        ...

    async def libraries(self) -> Mapping[str, int]:
        """Number of references by library."""
        ...

    async def metrics(self) -> str:
        """All nodes' metrics in Prometheus' text format."""
        ...

    async def readiness(self) -> Readiness: ...

    def room(self, *, waits: bool) -> AbstractContextManager[None]:
        """A place for a request, asked for before its body is read. Raises Overloaded."""
        ...
