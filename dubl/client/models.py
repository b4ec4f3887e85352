"""Answers of the service, typed. Fields that a newer service adds are passed over."""

from __future__ import annotations

from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Item = TypeVar("Item")


class Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Segment(Answer):
    """A common stretch, seconds of either side; `speed`: reference seconds a query second."""

    query_start_s: float
    query_end_s: float
    reference_start_s: float
    reference_end_s: float
    similarity: float
    speed: float
    reversed: bool


class Ruling(Answer):
    """What the reference's rights make of a match: only what `counts` can be a duplicate, of
    a reference that is `quarantined` a person decides, and
    `reason` says why in words. Besides, `excluded_s` of the query lay in excluded segments and
    `common_s` showed common material."""

    action: str
    licensed: bool
    counts: bool
    quarantined: bool
    reason: str
    reason_code: str
    copied_s: float
    excluded_s: float
    common_s: float


class Match(Answer):
    """`rejected`: a person said that these bytes do not copy this reference. `agreement`: how alike
    the pixels of both move, 0 to 1; None where that was not looked at."""

    reference_id: str
    library: str
    similarity: float
    probability: float
    rejected: bool
    rights: Ruling
    segments: tuple[Segment, ...]
    agreement: float | None = None


class Context(Answer):
    """Where and when the query would be shown; None: not said."""

    channel: str | None
    territory: str | None
    time: str | None


class Check(Answer):
    """A verdict: `outcome` is "duplicate", "review" or "unique"; `action` is the strictest that
    owners want done (block, monetize, track, allow); matches that count come first, best first.
    damaged: part of the file could not be read; this is of the rest. earlier_id: the first check
    of this upload, from before the reference was registered."""

    id: str
    outcome: str
    action: str
    probability: float
    matches: tuple[Match, ...]
    context: Context
    libraries: tuple[str, ...]
    query_name: str
    query_sha256: str
    created_at: str
    earlier_id: str | None
    model_id: str
    policy_version: str
    index_version: int
    damaged: bool
    timings_ms: dict[str, float]


class LicenseWindow(Answer):
    """A license: None is open, and nothing named is everywhere. ISO 8601, UTC unless it says so."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, validate_by_name=True, serialize_by_alias=True
    )

    since: str | None = Field(default=None, alias="from")
    until: str | None = None
    territories: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()


class ExcludedSegment(Answer):
    """Seconds of the reference that prove nothing: an intro, credits."""

    start_s: float
    end_s: float
    label: str = ""


class Rights(Answer):
    """Of a reference; `action`: block, monetize, track or allow."""

    action: str = "block"
    license_windows: tuple[LicenseWindow, ...] = ()
    min_copied_s: float = 0.0
    excluded_segments: tuple[ExcludedSegment, ...] = ()


class Reference(Answer):
    """A registered video; damaged: only the readable part of its file is in the library."""

    id: str
    library: str
    title: str
    owner: str
    metadata: dict[str, object]
    rights: Rights
    source: str
    sha256: str
    duration_s: float
    frame_count: int
    created_at: str
    damaged: bool


class FrameFound(Answer):
    """A reference that shows a picture; `times_s`, where it is most alike."""

    reference_id: str
    library: str
    similarity: float
    times_s: tuple[float, ...]


class Library(Answer):
    name: str
    references: int


class Failure(Answer):
    """Why a job failed."""

    code: str
    detail: str
    status: int
    hint: str = ""


class Accepted(Answer):
    """Work that was accepted and goes on, or has failed with `error`."""

    id: str
    job_id: str
    status: str
    error: Failure | None = None


class Job(Answer):
    """`name`: what the caller called the video; `progress`: the share of the usual work that is
    done; `children` counts those of a batch by status; `dead`: given up though its input may be
    good, it can be queued again."""

    id: str
    kind: str
    status: str
    subject_id: str
    attempts: int
    created_at: str
    finished_at: str | None
    error: Failure | None
    stage: str
    progress: float
    result_id: str | None = None
    batch_id: str | None = None
    dead: bool = False
    name: str = ""
    children: dict[str, int] | None = None

    @property
    def ended(self) -> bool:
        return self.status not in ("queued", "running")


class WebhookEvent(Answer):
    """What a webhook says: `type` is, for example, "check.done"; `check` where there is one."""

    type: str
    timestamp: str
    job: Job
    check: Check | None = None


class Hint(Answer):
    """An edit that was seen on a copy: mirrored, rotated (degrees), inset, cropped (shares of the
    picture), gray, speed, reversed."""

    kind: str
    value: float


class FramePair(Answer):
    """Two instants that belong together; the pictures are addresses, or None."""

    segment: int
    query_s: float
    reference_s: float
    similarity: float
    query_picture: str | None
    reference_picture: str | None


class Evidence(Answer):
    """Why a match was found; `matrix_picture` is the address of a PNG."""

    check_id: str
    reference_id: str
    similarity: float
    probability: float
    outcome: str
    rejected: bool
    segments: tuple[Segment, ...]
    pairs: tuple[FramePair, ...]
    hints: tuple[Hint, ...]
    matrix: str
    matrix_picture: str


class Review(Answer):
    """A decision: confirmed, rejected, licensed, reopened, or a comment."""

    id: str
    check_id: str
    reference_id: str
    decision: str
    reviewer: str
    note: str
    created_at: str


class ReviewItem(Answer):
    """A match in the review queue; `state` is open, confirmed, rejected or licensed."""

    check_id: str
    reference_id: str
    library: str
    probability: float
    similarity: float
    query_name: str
    state: str
    reviewer: str
    created_at: str


class Delivery(Answer):
    """A webhook: status is pending, delivered or failed; `http_status` the last answer's."""

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


class Key(Answer):
    """An API key without its secret; limits of 0 are those of the service's settings."""

    id: str
    prefix: str
    name: str
    scopes: tuple[str, ...]
    libraries: tuple[str, ...]
    requests_per_minute: int
    jobs_per_day: int
    created_at: str
    revoked_at: str | None


class NewKey(Answer):
    """`token` is shown this once."""

    token: str
    key: Key


class Differing(Answer):
    """How often this was answered, and that was what another space would have said."""

    answered: str
    shadow: str
    count: int


class Space(Answer):
    """A feature space: `missing` of the other's references it lacks; of `shadow_checks`, which the
    other answered and it too, so many were `agreed` on."""

    space_id: str
    model_id: str
    answers: bool
    references: int
    missing: int
    shadow_checks: int
    agreed: int
    differing: tuple[Differing, ...]


class SpaceSwitch(Answer):
    """`rollback`: the switch before this one was taken back."""

    space_id: str
    previous_id: str
    created_at: str
    by: str
    note: str
    rollback: bool


class Spaces(Answer):
    """Those in service, and all switches, newest first."""

    items: tuple[Space, ...]
    switches: tuple[SpaceSwitch, ...]


class MissingReference(Answer):
    """`path`: where the indexing job finds its file; None where nobody knows."""

    id: str
    library: str
    source: str
    path: str | None


class Readiness(Answer):
    """Whether requests are taken, and what is waited for; `date`: the service's time, as HTTP
    writes it."""

    ready: bool
    waiting_for: tuple[str, ...] = ()
    date: str = ""


class Page(Answer, Generic[Item]):
    """One page of a listing; `next_cursor` is None on the last one."""

    items: tuple[Item, ...]
    next_cursor: str | None
