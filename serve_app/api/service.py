"""What the HTTP layer asks of the application behind it. The layer knows no Ray: serve_app/jobs.py
fulfills this protocol with Serve handles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from dubl.types import (
    Check,
    Job,
    JobState,
    Metadata,
    Outcome,
    Page,
    Reference,
    ReferenceDraft,
    VideoSource,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInput:
    """Where the video is: exactly one of a spooled upload, a link, or a path on the server."""

    upload: VideoSource | None = None
    link: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOrder:
    """A question: does this video copy a reference of one of `libraries` (empty: of any)?

    `self_id` names the reference that is the query itself: it is not a copy of itself, and only
    references registered before it count.
    """

    id: str
    video: VideoInput
    libraries: tuple[str, ...] = ()
    self_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceOrder:
    """A video to be registered."""

    video: VideoInput
    draft: ReferenceDraft


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceChange:
    """Fields to be replaced; None leaves a field as it is."""

    title: str | None = None
    owner: str | None = None
    metadata: Metadata | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceFilter:
    library: str = ""
    owner: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether requests are taken; `waiting_for` names what is not there yet."""

    ready: bool
    waiting_for: tuple[str, ...] = ()
    facts: Mapping[str, str | int] = field(default_factory=dict)


class Service(Protocol):
    """Everything that a route may call. Methods raise dubl.errors."""

    async def submit_check(self, order: CheckOrder) -> Job: ...

    async def submit_reference(self, order: ReferenceOrder) -> Job: ...

    async def wait(self, job: Job, *, seconds: float) -> Job:
        """The job as it is when it ends, or after `seconds`."""
        ...

    async def get_job(self, job_id: str) -> Job: ...

    async def find_job(self, subject_id: str) -> Job:
        """The newest job that makes this check or reference. Raises NotFound."""
        ...

    async def list_jobs(self, *, state: JobState | None, limit: int, cursor: str) -> Page[Job]: ...

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

    async def libraries(self) -> Mapping[str, int]:
        """Number of references by library."""
        ...

    async def readiness(self) -> Readiness: ...

    def require_room(self) -> None:
        """Raises Overloaded when no further job can be taken: asked before a body is read."""
        ...
