"""Orders: validated requests, as stored in jobs; and filters."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pydantic import TypeAdapter

from dubl.rights.terms import ANYWHERE, UNRESTRICTED, CheckContext, Rights
from dubl.types import Job, JobKind, Metadata, ReferenceDraft, VideoSource


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
    registered before it count. `context`: where and when the video will be shown. `earlier`: an
    upload with stored features, in place of a video.
    """

    id: str
    video: VideoInput
    libraries: tuple[str, ...] = ()
    self_id: str = ""
    context: CheckContext = ANYWHERE
    earlier: EarlierUpload | None = None


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceOrder:
    """A video to be registered."""

    video: VideoInput
    draft: ReferenceDraft


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How the caller learns of the end. `waited`: only this request waits for the job."""

    callback_url: str = ""
    waits: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceChange:
    """Fields to replace; None leaves a field unchanged."""

    title: str | None = None
    owner: str | None = None
    metadata: Metadata | None = None
    rights: Rights | None = None


# A job carries its order as JSON.
CHECK_ORDER = TypeAdapter(CheckOrder)
REFERENCE_ORDER = TypeAdapter(ReferenceOrder)
BATCH_ORDER = TypeAdapter(BatchOrder)
LOOKBACK_ORDER = TypeAdapter(LookbackOrder)


def upload_of(job: Job) -> VideoSource | None:
    """The spooled file that a job needs."""
    if job.kind is JobKind.LOOKBACK:
        return None
    if job.kind is JobKind.CHECK:
        return CHECK_ORDER.validate_python(job.request).video.upload
    if job.kind is JobKind.REFERENCE:
        return REFERENCE_ORDER.validate_python(job.request).video.upload
    return BATCH_ORDER.validate_python(job.request).archive
