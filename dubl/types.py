"""One frozen object per hop of a request: VideoSource → FrameClip → VideoFeatures → CandidateSet
→ MatchSet → Verdict (design: "the way of a request").

`timings_ms` travels with the objects: each step adds its own entry, so that the graph can pass
results on without awaiting them and the last one knows where the time went.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Generic, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from dubl.errors import InvalidRequest
from dubl.rights.terms import (
    ANYWHERE,
    UNJUDGED,
    UNRESTRICTED,
    Action,
    CheckContext,
    Rights,
    Ruling,
)

Uint8Array = NDArray[np.uint8]
Float16Array = NDArray[np.float16]
Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
Timings = Mapping[str, float]
Metadata = Mapping[str, object]

NO_TIMINGS: Timings = MappingProxyType({})
MAIN_LIBRARY = "main"
WHOLE_FRAME = 0
MAX_VIEWS = 14  # of one instant, the whole frame included

Item = TypeVar("Item")


class Outcome(StrEnum):
    """What the decision says of a query."""

    DUPLICATE = "duplicate"
    REVIEW = "review"
    UNIQUE = "unique"


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoSource:
    """A video file on this machine's disk.

    `path` is local and readable, `name` is what the caller called it (file name or link).
    """

    path: str
    sha256: str
    size_bytes: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Which frames of a video are read, and at which size.

    One frame each 1 / `rate_hz` seconds, but at least `min_frames` where the file has them: a
    two-second clip at one frame a second would leave nothing to align.
    `resize`: "squash" scales to frame_size x frame_size whatever the aspect; "crop" scales the
    short side to frame_size * 8 / 7 and cuts the center square (256 → 224, ViSiL).
    `views`: "whole" frames alone, as references have them; "parts" adds what bars frame, stacked
    screens and insets where there are any; "thorough" adds mirrored and turned frames, halves and
    the middle to that. Cropped pictures have whole frames alone.
    `still_at_s`: of the whole file only the picture at that time; an image file has one.
    """

    rate_hz: float
    min_frames: int
    frame_size: int
    resize: Literal["squash", "crop"] = "squash"
    views: Literal["whole", "parts", "thorough"] = "whole"
    still_at_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFacts:
    """What probing and decoding told about the file. Sizes are after rotation, in pixels."""

    duration_s: float
    width: int
    height: int
    rotation_deg: int
    codec: str
    container: str
    frame_rate_hz: float
    backend: str
    damaged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameClip:
    """Sampled frames of one video.

    frames uint8 [N,H,W,3] RGB; timestamps_s float64 [N], the true presentation times from the
    start of the video; views uint8 [N], 0 for whole frames, other numbers for parts of the same
    instant (rows of one view are in order of time).
    """

    frames: Uint8Array
    timestamps_s: Float64Array
    views: Uint8Array
    facts: VideoFacts
    timings_ms: Timings = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = self.frames.shape[0]
        if self.frames.ndim != 4 or self.frames.shape[3] != 3 or self.frames.dtype != np.uint8:
            raise ValueError(f"frames must be uint8 [N,H,W,3], not {_shape(self.frames)}")
        _require_rows(count, timestamps_s=self.timestamps_s, views=self.views)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSpec:
    """The space in which features live; two videos are comparable only within one.

    It travels with features and stands in the metadata of the stored tables.
    """

    model_id: str
    weights_sha256: str
    rate_hz: float
    frame_size: int
    resize: Literal["squash", "crop"]
    descriptor_dims: int
    regions: int
    region_dims: int

    @property
    def space_id(self) -> str:
        """Twelve hex digits that differ wherever features may not be mixed."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFeatures:
    """Features of one video: N rows in the order of FrameClip.

    descriptors float16 [N,D'] unit length; region_features float16 [N,R,D];
    timestamps_s float64 [N]; views uint8 [N]. damaged: part of the file could not be read, and
    these are the features of the rest.
    """

    descriptors: Float16Array
    region_features: Float16Array
    timestamps_s: Float64Array
    views: Uint8Array
    duration_s: float
    spec: FeatureSpec
    damaged: bool = False
    timings_ms: Timings = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = self.timestamps_s.shape[0]
        _require_rows(count, descriptors=self.descriptors, views=self.views)
        _require_rows(count, region_features=self.region_features)
        if self.descriptors.shape[1:] != (self.spec.descriptor_dims,):
            raise ValueError(f"descriptors are {_shape(self.descriptors)}, spec: {self.spec}")
        if self.region_features.shape[1:] != (self.spec.regions, self.spec.region_dims):
            raise ValueError(f"regions are {_shape(self.region_features)}, spec: {self.spec}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameHit:
    """One query frame near one reference frame. Similarity is a cosine, higher = more alike."""

    query_time_s: float
    reference_time_s: float
    similarity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A reference worth a look, with the frame hits that speak for it."""

    reference_id: str
    library: str
    score: float
    hits: tuple[FrameHit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateSet:
    """Candidates, best first. Empty is an ordinary value."""

    candidates: tuple[Candidate, ...]
    index_version: int
    timings_ms: Timings = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameFound:
    """A reference that shows a picture; `times_s` ascending, where it is most alike."""

    reference_id: str
    library: str
    similarity: float
    times_s: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A common stretch, in seconds of either video. Starts lie before ends on both sides;
    a copy that plays backwards says so in `reversed`."""

    query_start_s: float
    query_end_s: float
    reference_start_s: float
    reference_end_s: float
    similarity: float
    reversed: bool = False

    @property
    def speed(self) -> float:
        """Reference seconds that pass in one query second."""
        query_s = max(self.query_end_s - self.query_start_s, 1e-6)
        return (self.reference_end_s - self.reference_start_s) / query_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A re-ranked candidate.

    `similarity` in [0,1]: 1 is identical. `segments` best first, possibly none, without what lies
    in excluded segments of the reference (`excluded_s` of it did) or is common material
    (`common_s`). `rejected`: a person said of these very bytes that they do not copy this
    reference. `rights`: what the decision made of it, `outcome`: what its library's thresholds
    make of its probability alone; None in verdicts of older versions.
    """

    reference_id: str
    library: str
    similarity: float
    probability: float
    segments: tuple[Segment, ...]
    rejected: bool = False
    excluded_s: float = 0.0
    common_s: float = 0.0
    rights: Ruling = UNJUDGED
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchSet:
    """Matches, most probable first. damaged: part of the query could not be read. `rights`: of the
    references in it, by id, where there are any."""

    matches: tuple[Match, ...]
    index_version: int
    damaged: bool = False
    timings_ms: Timings = field(default_factory=dict)
    rights: Mapping[str, Rights] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer: an outcome and every re-ranked match (the HTTP layer hides weak ones), those
    that count first. `probability` is that of the best one that counts.

    damaged: it is about the part of the query that could be read. `action`: the strictest that the
    owners of what was found want, unless it is unique. `context`: what was asked about.
    """

    outcome: Outcome
    probability: float
    matches: tuple[Match, ...]
    model_id: str
    policy_version: str
    index_version: int
    damaged: bool = False
    timings_ms: Timings = field(default_factory=dict)
    action: Action = Action.BLOCK
    context: CheckContext = ANYWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceDraft:
    """What a caller says of a video to be registered."""

    id: str
    library: str = MAIN_LIBRARY
    title: str = ""
    owner: str = ""
    metadata: Metadata = field(default_factory=dict)
    rights: Rights = UNRESTRICTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A registered video, without its features. `created_at` is UTC, ISO 8601. damaged: only the
    part of its file that could be read is in the library."""

    id: str
    library: str
    title: str
    owner: str
    metadata: Metadata
    source: str
    sha256: str
    duration_s: float
    frame_count: int
    created_at: str
    damaged: bool = False
    rights: Rights = UNRESTRICTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """The outcome of registering: the reference, and whether it is new."""

    reference: Reference
    created: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexHealth:
    """The vector index of the library's frames. `index_type` is "exact" while there is none.
    `recall` is that of the last audit since the training, 1 for exact search, and nothing where
    none was made."""

    index_type: str
    frames: int
    unindexed_frames: int
    frames_at_training: int
    recall: float | None
    audited_at: str


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A verdict as the ledger keeps it, with what was asked. `earlier_id`: the check of the same
    upload that was made before the reference was there."""

    id: str
    query_name: str
    query_sha256: str
    libraries: tuple[str, ...]
    created_at: str
    verdict: Verdict
    earlier_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """A feature space that a service works in: how it samples queries, closer looks and
    references, and its model as verdicts name it."""

    id: str
    model_id: str
    query: Sampling
    closer: Sampling
    reference: Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceSwitch:
    """From when on the space answered; `previous_id` did before it (empty: that of
    `model.weights`). `by` is the key's id. `rollback`: it was the one before already."""

    number: int
    space_id: str
    previous_id: str
    created_at: str
    by: str = ""
    note: str = ""
    rollback: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """What a space that does not answer says of a check. `agrees`: the same outcome and, unless
    that is unique, a reference in common."""

    check_id: str
    space_id: str
    model_id: str
    outcome: Outcome
    probability: float
    top_reference_id: str
    agrees: bool
    created_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Shadows of one space: how many, how many agree, and how often one outcome stood against
    another (answered, shadow)."""

    count: int = 0
    agreed: int = 0
    differing: Mapping[tuple[Outcome, Outcome], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryPolicy:
    """A library's own thresholds, fitted to so many decisions; `number` grows with each fit."""

    library: str
    number: int
    duplicate_probability: float
    review_probability: float
    decisions: int
    created_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedMatch:
    """A match on which a person has decided: `copied` unless it was rejected."""

    probability: float
    copied: bool


class QuarantineState(StrEnum):
    """HELD until a person decides; KEPT in quarantine by a person; RELEASED."""

    HELD = "held"
    KEPT = "kept"
    RELEASED = "released"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine:
    """A reference that so many different uploads matched lately, and so many usually."""

    reference_id: str
    library: str
    state: QuarantineState
    uploads: int
    usual: float
    created_at: str
    reviewer: str = ""
    note: str = ""
    decided_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the ledger knows that a decision depends on: references that people said these bytes do
    not copy, references in quarantine, and libraries' own thresholds by name."""

    rejected: frozenset[str] = frozenset()
    quarantined: frozenset[str] = frozenset()
    policies: Mapping[str, LibraryPolicy] = field(default_factory=dict)


NO_STANDING = Standing()


class Scope(StrEnum):
    """What a key allows. ADMIN allows everything."""

    CHECK = "check"
    REGISTER = "register"
    REVIEW = "review"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """An API key as it is kept: of its secret only the SHA-256. `libraries` empty: all of them;
    limits of 0: those of the settings. Times are UTC, ISO 8601; `revoked_at` is empty while it
    works."""

    id: str
    name: str
    secret_sha256: str
    scopes: tuple[Scope, ...]
    libraries: tuple[str, ...] = ()
    requests_per_minute: int = 0
    jobs_per_day: int = 0
    created_at: str
    revoked_at: str = ""

    @property
    def prefix(self) -> str:
        """What may be shown: enough to tell keys apart."""
        return f"dubl_{self.id}"


class Decision(StrEnum):
    """What a person says of a match. A comment decides nothing; "licensed" is a copy that may be
    shown; "reopened" takes an earlier decision back."""

    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    LICENSED = "licensed"
    REOPENED = "reopened"
    COMMENT = "comment"


class ReviewState(StrEnum):
    """Where a match stands: by the latest decision on it."""

    OPEN = "open"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    LICENSED = "licensed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """One entry in a match's history. `created_at` is UTC, ISO 8601."""

    id: str
    check_id: str
    reference_id: str
    decision: Decision
    reviewer: str
    note: str
    created_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewItem:
    """A match as the review queue shows it. `created_at` is the check's."""

    check_id: str
    reference_id: str
    library: str
    probability: float
    similarity: float
    query_name: str
    state: ReviewState
    reviewer: str
    created_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptVideo:
    """What is kept of a video for people to look at: small pictures of whole frames at
    `picture_times_s`, ascending, and `video_path`, a file to play, empty for none.

    `width` and `height` are those of the video, after rotation; `media_type` as HTTP names it.
    """

    id: str
    name: str
    duration_s: float
    width: int
    height: int
    picture_times_s: tuple[float, ...]
    video_path: str
    media_type: str
    kept_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Item]):
    """One page of a listing; `next_cursor` is empty on the last one."""

    items: tuple[Item, ...]
    next_cursor: str

    @classmethod
    def empty(cls) -> Self:
        return cls(items=(), next_cursor="")


@dataclass(frozen=True, slots=True, kw_only=True)
class PagePosition:
    """Where a page ended in a listing by time, newest first; a cursor is its opaque text."""

    created_at: str
    id: str

    @property
    def cursor(self) -> str:
        text = json.dumps([self.created_at, self.id])
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def from_cursor(cls, cursor: str) -> Self:
        """Raises InvalidRequest for text that no page gave."""
        try:
            padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
            match json.loads(base64.urlsafe_b64decode(padded)):
                case [str() as created_at, str() as identity]:
                    return cls(created_at=created_at, id=identity)
        except ValueError as exc:
            raise InvalidRequest("the cursor is not one that a page gave") from exc
        raise InvalidRequest("the cursor is not one that a page gave")


def _require_rows(count: int, **arrays: NDArray[np.generic]) -> None:
    for name, array in arrays.items():
        if array.shape[0] != count:
            raise ValueError(f"{name} has {array.shape[0]} rows, expected {count}")


def _shape(array: NDArray[np.generic]) -> str:
    return f"{array.dtype} {list(array.shape)}"
