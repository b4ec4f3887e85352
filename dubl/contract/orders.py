"""Orders: validated requests, as stored in jobs; and filters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from pydantic import TypeAdapter

from dubl.rights.terms import ANYWHERE, UNRESTRICTED, CheckContext, Rights
from dubl.types import (
    Job,
    JobKind,
    JobRank,
    JobState,
    Metadata,
    Reference,
    ReferenceDraft,
    VideoSource,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInput:
    """The video: exactly one of a spooled upload, a link, or a path on the server.

    `lost`: the name of a file that could not be spooled.
    """

    upload: VideoSource | None = None
    link: str = ""
    path: str = ""
    lost: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierUpload:
    """A checked video with stored features, by the id of that check, in its feature space (empty:
    that of model.weights).
    """

    check_id: str
    name: str
    sha256: str
    space_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOrder:
    """Whether this video copies a reference of one of `libraries` (empty: of any).

    `self_id`: the reference that is the query itself. It is no match, and only references
    registered before it count. `reference_id`: a reference that is compared whatever the search
    finds, and of which evidence is kept. `context`: where and when the video will be shown.
    `earlier`: an upload with stored features, in place of a video.
    """

    id: str
    video: VideoInput
    libraries: tuple[str, ...] = ()
    self_id: str = ""
    reference_id: str = ""
    context: CheckContext = ANYWHERE
    earlier: EarlierUpload | None = None

    job_kind: ClassVar[JobKind] = JobKind.CHECK

    @property
    def subject_id(self) -> str:
        return self.id

    @property
    def file(self) -> VideoSource | None:
        """The spooled file that the job needs."""
        return self.video.upload


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSearch:
    """A spooled image, or the frame of a video at `at_s`."""

    source: VideoSource
    at_s: float
    libraries: tuple[str, ...]
    limit: int

    def within(self, libraries: tuple[str, ...]) -> FrameSearch:
        return replace(self, libraries=libraries)


@dataclass(frozen=True, slots=True, kw_only=True)
class LookbackOrder:
    """A new reference of one library, to be searched in earlier uploads."""

    reference_id: str
    libraries: tuple[str, ...]

    job_kind: ClassVar[JobKind] = JobKind.LOOKBACK
    file: ClassVar[None] = None

    @property
    def subject_id(self) -> str:
        return f"lookback/{self.reference_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceOrder:
    """A video to be registered. `own_id`: the caller has chosen the id, and relies on it."""

    video: VideoInput
    draft: ReferenceDraft
    own_id: bool = False

    job_kind: ClassVar[JobKind] = JobKind.REFERENCE

    @property
    def subject_id(self) -> str:
        return self.draft.id

    @property
    def libraries(self) -> tuple[str, ...]:
        return (self.draft.library,)

    @property
    def file(self) -> VideoSource | None:
        return self.video.upload


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOrder:
    """Many checks or registrations at once: a spooled zip, or links.

    References go into the one named library; checks search all named libraries (none: all).
    """

    id: str
    kind: JobKind
    archive: VideoSource | None = None
    links: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    owner: str = ""
    rights: Rights = UNRESTRICTED
    context: CheckContext = ANYWHERE

    job_kind: ClassVar[JobKind] = JobKind.BATCH

    @property
    def subject_id(self) -> str:
        return self.id

    @property
    def file(self) -> VideoSource | None:
        return self.archive


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How the caller learns of the end; `key_id`: its key.

    `waits`: its request stays open for it. `known`: it has other means, so the job goes on if the
    request is left.
    """

    callback_url: str = ""
    waits: bool = False
    known: bool = False
    key_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceChange:
    """Fields to replace; None leaves a field unchanged."""

    title: str | None = None
    owner: str | None = None
    metadata: Metadata | None = None
    rights: Rights | None = None

    @classmethod
    def of(cls, one: Reference) -> ReferenceChange:
        """All that can be changed, as it is in this reference."""
        return cls(title=one.title, owner=one.owner, metadata=one.metadata, rights=one.rights)


Order = CheckOrder | ReferenceOrder | BatchOrder | LookbackOrder

ADAPTERS: Mapping[JobKind, TypeAdapter[Order]] = {
    JobKind.CHECK: TypeAdapter[Order](CheckOrder),
    JobKind.REFERENCE: TypeAdapter[Order](ReferenceOrder),
    JobKind.BATCH: TypeAdapter[Order](BatchOrder),
    JobKind.LOOKBACK: TypeAdapter[Order](LookbackOrder),
}


def order_of(job: Job) -> Order:
    """The order of a job, which carries it as JSON."""
    return ADAPTERS[job.kind].validate_python(job.request)


def new_job(
    order: Order,
    *,
    job_id: str,
    created_at: str,
    rank: JobRank,
    parent_id: str = "",
    callbacks: tuple[str, ...] = (),
    request_id: str = "",
    traceparent: str = "",
    key_id: str = "",
) -> Job:
    """A queued job for an order."""
    kind = order.job_kind
    return Job(
        id=job_id,
        kind=kind,
        state=JobState.QUEUED,
        subject_id=order.subject_id,
        request=ADAPTERS[kind].dump_python(order, mode="json"),
        created_at=created_at,
        rank=rank,
        parent_id=parent_id,
        callbacks=callbacks,
        request_id=request_id,
        traceparent=traceparent,
        key_id=key_id,
    )
