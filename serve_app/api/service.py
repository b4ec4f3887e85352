"""What the HTTP layer asks of the application behind it. The layer knows no Ray: serve_app/jobs.py
fulfills this protocol with Serve handles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Protocol

from dubl.rights.terms import ANYWHERE, UNRESTRICTED, CheckContext, Rights
from dubl.types import (
    Check,
    Delivery,
    DeliveryState,
    FrameFound,
    Job,
    JobKind,
    JobState,
    Metadata,
    Outcome,
    Page,
    Reference,
    ReferenceDraft,
    VideoSource,
)
from serve_app.api.desk import Desk
from serve_app.api.switchboard import Switchboard


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInput:
    """Where the video is: exactly one of a spooled upload, a link, or a path on the server.

    `lost`: the name of a file that could not be spooled, of which nothing else is known.
    """

    upload: VideoSource | None = None
    link: str = ""
    path: str = ""
    lost: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierUpload:
    """A checked video of which the features are kept, by the id of that check, in the feature
    space that answered it (empty: that of model.weights)."""

    check_id: str
    name: str
    sha256: str
    space_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOrder:
    """A question: does this video copy a reference of one of `libraries` (empty: of any)?

    `self_id` names the reference that is the query itself: it is not a copy of itself, and only
    references registered before it count. `context`: where and when it would be shown.
    `earlier`: instead of a video, what is kept of one.
    """

    id: str
    video: VideoInput
    libraries: tuple[str, ...] = ()
    self_id: str = ""
    context: CheckContext = ANYWHERE
    earlier: EarlierUpload | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSearch:
    """A spooled image, or a video of which the frame at `at_s` is meant."""

    source: VideoSource
    at_s: float
    libraries: tuple[str, ...]
    limit: int

    def within(self, libraries: tuple[str, ...]) -> FrameSearch:
        return replace(self, libraries=libraries)


@dataclass(frozen=True, slots=True, kw_only=True)
class LookbackOrder:
    """A new reference, of the one library that is named, to be looked for in earlier uploads."""

    reference_id: str
    libraries: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceOrder:
    """A video to be registered."""

    video: VideoInput
    draft: ReferenceDraft


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOrder:
    """Many checks or registrations at once: a spooled zip, or links. References go into the one
    library that is named; checks look into all of them (none: into any)."""

    id: str
    kind: JobKind
    archive: VideoSource | None = None
    links: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    owner: str = ""
    rights: Rights = UNRESTRICTED
    context: CheckContext = ANYWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How the caller wants to learn of the end. `waited`: this very request waits for it, and
    nobody else knows of the job."""

    callback_url: str = ""
    waits: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    state: JobState | None = None
    parent_id: str = ""
    dead: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceChange:
    """Fields to be replaced; None leaves a field as it is."""

    title: str | None = None
    owner: str | None = None
    metadata: Metadata | None = None
    rights: Rights | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceFilter:
    library: str = ""
    owner: str = ""
    text: str = ""


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
