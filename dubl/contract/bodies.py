"""The answers of the HTTP contract: one model each, for service, client and local use.

`of` creates an answer from a domain object. Unknown fields of a newer service are ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Generic, Literal, Self, TypeVar
from urllib.parse import quote

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from dubl import types
from dubl.contract.links import shown_link
from dubl.rights.terms import Action, Modalities
from dubl.types import JobState, Limit, Modality, Note, Outcome, Scope, SoundRelation

if TYPE_CHECKING:
    from dubl.settings import PolicySettings

Item = TypeVar("Item")
Found = TypeVar("Found")


def _round_down(value: float) -> float:
    """Rounds down to four digits, so that .99996 does not seem to reach a threshold of 1."""
    nearest = round(value, 4)
    return nearest if nearest <= value else round(nearest - 1e-4, 4)


Share = Annotated[float, AfterValidator(_round_down)]
Seconds = Annotated[float, AfterValidator(lambda value: round(value, 3))]
Milliseconds = Annotated[float, AfterValidator(lambda value: round(value, 1))]
# A name, or a link without its query, which may be signed.
Shown = Annotated[str, AfterValidator(shown_link)]
OptionalText = Annotated[str | None, BeforeValidator(lambda value: value or None)]


class Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, from_attributes=True)

    @classmethod
    def _from(cls, found: object, others: Mapping[str, object]) -> Self:
        """Fields from the attributes of the same names, and `others`."""
        names = cls.model_fields.keys() - others.keys()
        return cls.model_validate({**others, **{name: getattr(found, name) for name in names}})


class Plain(Answer):
    """An answer with the fields of a domain object."""

    @classmethod
    def of(cls, found: object) -> Self:
        return cls.model_validate(found)


class Page(Answer, Generic[Item]):
    """One page of a listing; `next_cursor` is null on the last page."""

    items: tuple[Item, ...]
    next_cursor: OptionalText

    @classmethod
    def of(cls, page: types.Page[Found], body: Callable[[Found], Item]) -> Self:
        return cls(items=tuple(map(body, page.items)), next_cursor=page.next_cursor)


class Items(Answer, Generic[Item]):
    """A listing without pages."""

    items: tuple[Item, ...]

    @classmethod
    def of(cls, found: Iterable[Found], body: Callable[[Found], Item]) -> Self:
        return cls(items=tuple(map(body, found)))


class LicenseWindow(Answer):
    """A license. A null time is open; no territories or channels means all. Times are ISO 8601, UTC
    by default. `until` is exclusive.
    """

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True)

    since: OptionalText = Field(default=None, alias="from")
    until: OptionalText = None
    territories: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()


class ExcludedSegment(Answer):
    """Seconds of the reference whose copies do not count, such as an intro or credits."""

    start_s: float
    end_s: float
    label: str = ""


class Rights(Plain):
    """Rights of a reference. A copy counts unless a license covers it. In a request they replace
    all rights; missing fields get their defaults. `modalities`: what is claimed, "video", "audio"
    or "both" (either of them); null: as the library's other references.
    """

    action: Action = Action.BLOCK
    license_windows: tuple[LicenseWindow, ...] = ()
    min_copied_s: float = Field(default=0, ge=0)
    excluded_segments: tuple[ExcludedSegment, ...] = ()
    modalities: Modalities | None = None


class Ruling(Answer):
    """The effect of the reference's rights on a match. Only a match that `counts` can be a
    duplicate. If the reference is `quarantined`, a reviewer decides. `reason` explains the ruling.

    `copied_s`: copied seconds of the query. `excluded_s` more are in excluded segments, and
    `common_s` more are common material; they do not count.
    """

    action: Action
    licensed: bool
    counts: bool
    quarantined: bool
    reason: str
    reason_code: str
    copied_s: Seconds
    excluded_s: Seconds
    common_s: Seconds

    @classmethod
    def of(cls, match: types.Match) -> Self:
        others = {"excluded_s": match.excluded_s, "common_s": match.common_s}
        return cls._from(match.rights, others)


class Context(Plain):
    """Where and when the query will be shown; null: unknown."""

    channel: OptionalText
    territory: OptionalText
    time: OptionalText


class Segment(Plain):
    """A segment that both videos share, in seconds of either; `speed`: reference seconds per query
    second. `modality`: where it was found, "video", "audio", or "both"."""

    query_start_s: Seconds
    query_end_s: Seconds
    reference_start_s: Seconds
    reference_end_s: Seconds
    similarity: Share
    speed: Seconds
    reversed: bool
    modality: str = "video"


class Match(Answer):
    """`rejected`: a reviewer decided that these bytes do not copy this reference. `agreement`:
    pixel correlation, 0 to 1; null if pixels were not compared. `truncated`: the videos share more
    segments than these. `video_stream`: place, from 0, of the file's video stream that copies; null
    if players show it. `modality`: "video", "audio" (only the sound matches), or "both". `sound`:
    "agrees" or "differs" where both have sound, else null; `sound_reason` says it in words.
    `limit`: the rule without which `probability` would be higher, or null; `limit_reason` says it
    in words.
    """

    reference_id: str
    library: str
    similarity: Share
    probability: Share
    agreement: Share | None
    rejected: bool
    rights: Ruling
    segments: tuple[Segment, ...]
    truncated: bool = False
    video_stream: int | None = None
    modality: str = "video"
    sound: str | None = None
    sound_reason: str | None = None
    limit: str | None = None
    limit_reason: str | None = None

    @classmethod
    def of(cls, match: types.Match) -> Self:
        known = match.sound is not SoundRelation.UNKNOWN
        others = {
            "rights": Ruling.of(match),
            "sound": match.sound if known else None,
            "sound_reason": sound_reason(match),
            "limit_reason": LIMITS.get(match.limit) if match.limit else None,
        }
        return cls._from(match, others)


LIMITS = {
    Limit.STILL: "too little changes to tell a copy from two pictures that are alike",
    Limit.SHARED_EDGE: "it may be an intro or outro that many videos share",
    Limit.COMMON: "it is hardly more alike than other videos are",
    Limit.UNPROVEN: "too little moves for the pixels to prove a copy",
    Limit.CONTESTED: "several references are as alike, and the pixels prove none of them",
    Limit.OTHER_SOUND: "the pictures are still, and the sounds differ",
}


def sound_reason(match: types.Match) -> str | None:
    """What the sounds say about the match, in words; None if nothing."""
    if match.modality is Modality.AUDIO:
        return "same sound, other picture"
    return {
        SoundRelation.AGREES: "same picture, same sound",
        SoundRelation.DIFFERS: "same picture, other sound",
    }.get(match.sound)


class Searched(Answer):
    """What a check searched; no `libraries`: all."""

    references: int
    libraries: tuple[str, ...]


class Check(Answer):
    """A finished check. `outcome`: duplicate, review or unique. `action`: the strictest action of
    the owners, "allow" if unique. Matches that count come first, the best first. `audio_matches`:
    references of which only the sound was found, and whose owners do not claim it; no copies.
    """

    id: str
    status: str
    outcome: str
    action: Action
    probability: Share
    matches: tuple[Match, ...]
    audio_matches: tuple[Match, ...] = ()
    context: Context
    libraries: tuple[str, ...]
    query_name: Shown
    query_sha256: str
    created_at: str
    earlier_id: OptionalText = Field(
        description="the first check of this upload, from before the reference was registered"
    )
    model_id: str
    policy_version: str
    index_version: int
    searched: Searched | None = Field(
        default=None, description="null in old verdicts; with 0 references nothing was compared"
    )
    damaged: bool = Field(description="part of the file could not be read; this is of the rest")
    notes: tuple[Note, ...] = Field(
        default=(),
        description="`joined`: the file's clock starts anew or jumps; times are as players show. "
        "`nothing_to_see`: all pictures have one color, so the video copies nothing. "
        "`further_streams`: the file's further video streams were checked, too. `unread_streams`: "
        "a further video stream was not checked. `fingerprint`: features were sent in place of the "
        "video, so no pixels were compared. `needs_video`: see `needs`. `sound_alone`: the file "
        "has no video stream, so its sound alone was compared",
    )
    needs: Literal["video"] | None = Field(
        default=None,
        description="`video`: the answer to a fingerprint is in doubt; with the video, pixels and "
        "further views would decide",
    )
    timings_ms: dict[str, Milliseconds]

    @classmethod
    def of(cls, check: types.Check, *, min_probability: float, by_policy: bool = False) -> Self:
        """With matches of at least `min_probability`.

        With `by_policy`, those that reach the review threshold of their own library;
        `min_probability` applies to old matches without one.
        """
        verdict = check.verdict
        shown = (
            Match.of(match)
            for match in verdict.matches
            if _is_shown(match, min_probability, by_policy=by_policy)
        )
        unique = verdict.outcome is Outcome.UNIQUE
        others = {
            "status": JobState.DONE,
            "searched": None
            if verdict.searched is None
            else Searched(references=verdict.searched, libraries=check.libraries),
            "action": Action.ALLOW if unique else verdict.action,
            "matches": tuple(shown),
            "needs": "video" if Note.NEEDS_VIDEO in verdict.notes else None,
            "audio_matches": tuple(map(Match.of, verdict.audio_matches)),
        }
        of_verdict = cls.model_fields.keys() & {one.name for one in fields(verdict)} - others.keys()
        return cls._from(check, others | {name: getattr(verdict, name) for name in of_verdict})


class Reference(Answer):
    """A registered video."""

    id: str
    library: str
    status: str
    title: str
    owner: str
    metadata: dict[str, object]
    rights: Rights
    source: Shown
    sha256: str
    duration_s: Seconds
    frame_count: int
    created_at: str
    damaged: bool = Field(description="only the readable part of its file is in the library")

    @classmethod
    def of(cls, reference: types.Reference) -> Self:
        return cls._from(reference, {"status": "ready"})


class Library(Answer):
    name: str
    references: int


class FrameSpan(Plain):
    """Seconds of the first and the last of consecutive sampled frames, equal for one frame. The
    picture may be shown longer, by less than one sampling step at each end.
    """

    start_s: Seconds
    end_s: Seconds


class FrameFound(Plain):
    """A reference that shows the picture; `spans`: when its most similar frames are shown. A
    similarity is not a verdict: frames of other videos may be similar too.
    """

    reference_id: str
    library: str
    similarity: Share
    spans: tuple[FrameSpan, ...]


class DuplicateMember(Answer):
    id: str
    title: str
    duration_s: float


class DuplicatePair(Answer):
    """Two members of a cluster that were compared and are copies."""

    a: str
    b: str
    probability: float


class DuplicateCluster(Answer):
    """A cluster; its first member is the one to keep."""

    members: tuple[DuplicateMember, ...]
    pairs: tuple[DuplicatePair, ...]


class Duplicates(Answer):
    """Clusters of videos that copy each other, largest first."""

    library: str
    made_at: str
    clusters: tuple[DuplicateCluster, ...]


class Failure(Answer):
    """The reason why a job failed: a problem (RFC 9457) with a stable `code`; `hint` says what to
    do."""

    type: str = ""
    title: str = ""
    status: int
    detail: str
    code: str
    hint: str = ""
    context: dict[str, object] = {}


class Accepted(Answer):
    """Unfinished work: `status` is queued or running; failed comes with `error`. `same_as`: the
    registration is done, and its bytes were there already as this reference."""

    id: str
    job_id: str
    status: str
    error: Failure | None = None
    same_as: str | None = None


class Job(Answer):
    """`name`: the caller's name of the video. `stage` and `progress` (a share of the usual work)
    while it runs. `children`: number of a batch's jobs by status. `dead`: given up after its last
    attempt; it can be queued again.
    """

    id: str
    kind: str
    name: Shown
    status: str
    subject_id: str
    attempts: int
    created_at: str
    finished_at: OptionalText
    error: Failure | None
    stage: str
    progress: float
    result_id: OptionalText
    batch_id: OptionalText
    dead: bool
    children: dict[str, int] | None

    @property
    def ended(self) -> bool:
        return self.status not in (JobState.QUEUED, JobState.RUNNING)

    @classmethod
    def of(
        cls,
        job: types.Job,
        *,
        name: str,
        error: Failure | None,
        children: Mapping[JobState, int] | None = None,
    ) -> Self:
        others = {
            "name": name,
            "status": job.state,
            "error": error,
            "stage": job.progress.stage,
            "progress": _progress(job, children),
            "batch_id": job.parent_id,
            "children": None if children is None else {str(k): v for k, v in children.items()},
        }
        return cls._from(job, others)


class EventData(Answer):
    job: Job
    check: Check | None = None


class WebhookEvent(Answer):
    """The content of a webhook: `type` is, for example, "check.done"; with the check, if there is
    one."""

    type: str
    timestamp: str
    data: EventData

    @property
    def job(self) -> Job:
        return self.data.job

    @property
    def check(self) -> Check | None:
        return self.data.check


class AuditEntry(Plain):
    """A decision, change, export or deletion; `key_id` and `key_name` are those of its key."""

    id: str
    created_at: str
    key_id: OptionalText
    key_name: OptionalText
    action: str
    path: str
    request_id: str


class Delivery(Answer):
    """A webhook: `status` is pending, delivered or failed; `http_status` is that of the last
    answer."""

    id: str
    job_id: str
    url: Shown
    status: str
    attempts: int
    http_status: int | None
    error: OptionalText
    created_at: str
    next_attempt_at: str | None
    delivered_at: OptionalText

    @classmethod
    def of(cls, delivery: types.Delivery) -> Self:
        pending = delivery.state is types.DeliveryState.PENDING
        others = {
            "status": delivery.state,
            "http_status": delivery.status or None,
            "next_attempt_at": delivery.next_attempt_at if pending else None,
        }
        return cls._from(delivery, others)


class Video(Answer):
    """One side of a match. `picture` takes `?at=SECONDS`. Both addresses are null if nothing is
    stored. `width` and `height` are 0 if unknown.
    """

    id: str
    name: str
    duration_s: Seconds
    width: int
    height: int
    video: str | None
    media_type: str | None
    picture: str | None
    picture_times_s: tuple[Seconds, ...]

    @classmethod
    def of(cls, kept: types.StoredVideo, *, at: str) -> Self:
        others = {
            "video": f"{at}/video" if kept.video_path else None,
            "media_type": kept.media_type if kept.video_path else None,
            "picture": f"{at}/picture" if kept.picture_times_s else None,
        }
        return cls._from(kept, others)

    @classmethod
    def without_pictures(cls, identifier: str, duration_s: float) -> Self:
        return cls(
            id=identifier,
            name="",
            duration_s=duration_s,
            width=0,
            height=0,
            video=None,
            media_type=None,
            picture=None,
            picture_times_s=(),
        )


class Box(Answer):
    """A part of a picture, in shares of its width and height."""

    left: Seconds
    top: Seconds
    width: Seconds
    height: Seconds


class Hint(Plain):
    """A detected edit: mirrored, rotated (`value`: degrees clockwise), inset (the reference fills
    `box` of the query, `value`: its share), cropped (the query shows `box` of the reference), gray,
    speed (`value`: reference seconds per query second), reversed.
    """

    kind: str
    value: Seconds
    box: Box | None


class FramePair(Answer):
    """Two corresponding frames; `segment` is an index of `segments`, from 0."""

    segment: int
    query_s: Seconds
    reference_s: Seconds
    similarity: Share
    query_picture: str | None
    reference_picture: str | None

    @classmethod
    def of(cls, pair: types.FramePair, query: Video, reference: Video) -> Self:
        others = {
            "query_picture": _at(query.picture, pair.query_s),
            "reference_picture": _at(reference.picture, pair.reference_s),
        }
        return cls._from(pair, others)


class Policy(Answer):
    """The thresholds in force; `checked_under` is the policy's version at the time of the check."""

    version: str
    duplicate_probability: float
    review_probability: float
    checked_under: str

    @classmethod
    def of(cls, policy: PolicySettings, verdict: types.Verdict) -> Self:
        return cls._from(policy, {"checked_under": verdict.policy_version})


class Term(Plain):
    """What one piece of evidence adds to the log-odds of a match: base (before any),
    normalized_similarity, motion, log_duration, own_speed, comparator, pixels, sound, same_bytes,
    or a limit, which takes away. retrieval_rank only tells the place among the candidates, from 1;
    0: the search did not find it. `value`: the evidence itself."""

    name: str
    value: float
    log_odds: float


class Evidence(Answer):
    """The evidence of one match. `terms`: what led to the probability, in order; their `log_odds`
    add up to its own. Empty in old verdicts. `matrix_picture`: address of a PNG. `matrix`: address
    of the matrices, with `?stage=frames|network|sound`.
    """

    check_id: str
    reference_id: str
    library: str
    similarity: Share
    probability: Share
    outcome: str
    rejected: bool
    policy: Policy
    model_id: str
    segments: tuple[Segment, ...]
    pairs: tuple[FramePair, ...]
    hints: tuple[Hint, ...]
    limit: str | None
    limit_reason: str | None
    terms: tuple[Term, ...]
    query: Video
    reference: Video
    matrix: str
    matrix_picture: str

    @classmethod
    def of(
        cls,
        check: types.Check,
        match: types.Match,
        explanation: types.Explanation,
        *,
        policy: PolicySettings,
        outcome: Outcome,
    ) -> Self:
        """`policy`: the current one of the match's library."""
        here = f"/v1/checks/{quote(check.id, safe='')}"
        there = f"/v1/references/{quote(match.reference_id, safe='')}"
        at = f"{here}/matches/{quote(match.reference_id, safe='')}/evidence"
        query = Video.of(explanation.query, at=here)
        if explanation.reference is None:
            duration_s = explanation.reference_duration_s
            reference = Video.without_pictures(match.reference_id, duration_s)
        else:
            reference = Video.of(explanation.reference, at=there)
        others = {
            "check_id": check.id,
            "outcome": outcome,
            "policy": Policy.of(policy, check.verdict),
            "model_id": check.verdict.model_id,
            "pairs": [FramePair.of(pair, query, reference) for pair in explanation.pairs],
            "hints": explanation.hints,
            "limit_reason": LIMITS.get(match.limit) if match.limit else None,
            "query": query,
            "reference": reference,
            "matrix": f"{at}/matrix",
            "matrix_picture": f"{at}/matrix.png",
        }
        return cls._from(match, others)


class Matrix(Answer):
    """Similarity [T][U] in [0,1] with the times of its rows and columns, in seconds."""

    query_times_s: list[float]
    reference_times_s: list[float]
    query_duration_s: Seconds
    reference_duration_s: Seconds
    similarity: list[list[float]]

    @classmethod
    def of(cls, matrix: types.TimedMatrix) -> Self:
        return cls(
            query_times_s=matrix.query_times_s.round(3).tolist(),
            reference_times_s=matrix.reference_times_s.round(3).tolist(),
            query_duration_s=matrix.query_duration_s,
            reference_duration_s=matrix.reference_duration_s,
            similarity=matrix.similarity.astype("float64").round(3).tolist(),
        )


class Review(Plain):
    """One entry in a match's history. `decision`: confirmed, rejected, licensed, disputed, upheld,
    released, reopened, or comment. `until`: a dispute unanswered by then releases the match."""

    id: str
    check_id: str
    reference_id: str
    decision: str
    reviewer: str
    note: str
    created_at: str
    until: OptionalText = None


class ReviewItem(Answer):
    """A match in the review queue; `state` is open, confirmed, rejected, licensed, disputed,
    upheld, released, or closed (its reference was deleted). `title` and `owner` are of the
    reference, `channel` of the upload; `copied_s`: seconds of the upload that are copied; `until`:
    of its dispute; `limit`: the rule without which its probability would be higher."""

    check_id: str
    reference_id: str
    library: str
    probability: Share
    similarity: Share
    query_name: Shown
    state: str
    reviewer: str
    created_at: str
    outcome: str = ""
    copied_s: Seconds = 0.0
    modality: str = "video"
    channel: str = ""
    limit: OptionalText = None
    until: OptionalText = None
    title: str = ""
    owner: str = ""

    @classmethod
    def of(cls, item: types.ReviewItem, reference: types.Reference | None) -> Self:
        title, owner = (reference.title, reference.owner) if reference is not None else ("", "")
        return cls._from(item, {"title": title, "owner": owner})


class FacetValue(Answer):
    """A value of a filter, with the number of its matches. `title`: of a reference."""

    value: str
    title: str = ""
    count: int


class ReviewQueue(Page[ReviewItem]):
    """`counts`: number of the filter's matches by state. `facets`: by outcome, library, modality,
    channel, reference_id and owner those in its state, the most frequent first."""

    counts: dict[str, int]
    facets: dict[str, tuple[FacetValue, ...]] = {}


class ReviewConflict(Plain):
    """A match that somebody else has decided meanwhile."""

    check_id: str
    reference_id: str
    state: str
    reviewer: str
    decided_at: OptionalText


class ReviewedState(Answer):
    """A match with its state before the decision."""

    check_id: str
    reference_id: str
    decision: str
    before: str


class Reviewed(Answer):
    """Decisions on many matches. `conflicts` were left as they are."""

    decided: tuple[ReviewedState, ...]
    conflicts: tuple[ReviewConflict, ...]
    dry_run: bool

    @classmethod
    def of(cls, recorded: types.RecordedReviews, *, dry_run: bool) -> Self:
        told = zip(recorded.entries, recorded.before, strict=True)
        return cls(
            decided=tuple(
                ReviewedState(
                    check_id=entry.check_id,
                    reference_id=entry.reference_id,
                    decision=entry.decision,
                    before=before,
                )
                for entry, before in told
            ),
            conflicts=tuple(map(ReviewConflict.of, recorded.conflicts)),
            dry_run=dry_run,
        )


class Quarantine(Answer):
    """A reference with a flood of matches. `uploads`: distinct uploads in the guard's window;
    `usual`: in a usual window. `status`: held (until a reviewer decides), kept, or released.
    """

    reference_id: str
    library: str
    status: str
    uploads: int
    usual: Annotated[float, AfterValidator(lambda value: round(value, 2))]
    created_at: str
    reviewer: str
    note: str
    decided_at: OptionalText

    @classmethod
    def of(cls, one: types.Quarantine) -> Self:
        return cls._from(one, {"status": one.state})


class Hold(Plain):
    """A legal hold on a check. `by`: id of the key that set it."""

    check_id: str
    reason: str
    by: str
    created_at: str


class LibraryPolicy(Answer):
    """Thresholds of a library; `version` as in verdicts. No `decisions` if the settings' thresholds
    are in force.
    """

    library: str
    version: str
    duplicate_probability: float
    review_probability: float
    decisions: int | None
    created_at: str | None

    @classmethod
    def of(cls, library: str, used: PolicySettings, own: types.LibraryPolicy | None) -> Self:
        """`used`: the thresholds in force, of the settings or the library's `own`."""
        others = {
            "library": library,
            "decisions": own and own.decisions,
            "created_at": own and own.created_at,
        }
        return cls._from(used, others)


Rounded = Annotated[float, AfterValidator(lambda value: round(value, 4))]


class Precision(Plain):
    """Precision of the decided matches that reach `threshold`: their number, copies among them, and
    the 95 % interval of that share.
    """

    threshold: Rounded
    matches: int
    copies: int
    low: Rounded
    high: Rounded


class Calibration(Answer):
    """Thresholds fitted to a library's decisions, and the precision of old and new ones."""

    library: str
    adopted: bool
    decisions: int
    copies: int
    log_loss_before: Rounded
    log_loss_after: Rounded
    duplicate_before: Precision
    duplicate_after: Precision
    review_before: Precision
    review_after: Precision

    @classmethod
    def of(cls, library: str, report: types.ThresholdReport, *, adopted: bool) -> Self:
        return cls._from(report, {"library": library, "adopted": adopted})


class Key(Plain):
    """A key without its secret; limits of 0 are those of the service's settings."""

    id: str
    prefix: str
    name: str
    scopes: tuple[Scope, ...]
    libraries: tuple[str, ...]
    requests_per_minute: int
    jobs_per_day: int
    created_at: str
    revoked_at: OptionalText


class Session(Answer):
    """The caller's key; empty `libraries`: all. Without `has_key` no key is required.

    `by_proxy`: a proxy has signed the caller in, and signs the caller out.
    """

    name: str
    scopes: tuple[str, ...]
    libraries: tuple[str, ...]
    has_key: bool
    by_proxy: bool


class NewKey(Answer):
    """A new key. `token` is only in this answer."""

    token: str
    key: Key


class Differing(Answer):
    """How often the service gave one answer and this space another."""

    answered: str
    shadow: str
    count: int


class Space(Answer):
    """A feature space. `missing`: references that the other space holds and this one lacks.
    `shadow_checks`: checks answered by the other space and by this one; `agreed` of them are equal.
    """

    space_id: str
    model_id: str
    answers: bool
    references: int
    missing: int
    shadow_checks: int
    agreed: int
    differing: tuple[Differing, ...]

    @classmethod
    def of(cls, one: types.SpaceState) -> Self:
        compared = one.comparison
        others = {
            "shadow_checks": compared.count,
            "agreed": compared.agreed,
            "differing": [
                Differing(answered=answered, shadow=shadow, count=count)
                for (answered, shadow), count in compared.differing.items()
            ],
        }
        return cls._from(one, others)


class SpaceSwitch(Plain):
    """`by`: id of the key. `rollback`: whether it undid the previous switch."""

    space_id: str
    previous_id: str
    created_at: str
    by: str
    note: str
    rollback: bool


class Spaces(Answer):
    """Spaces in service, and all switches, newest first."""

    items: tuple[Space, ...]
    switches: tuple[SpaceSwitch, ...]


class MissingReference(Answer):
    """`path`: where the indexing job finds the file; null if unknown."""

    id: str
    library: str
    source: Shown
    path: OptionalText

    @classmethod
    def of(cls, one: types.MissingReference) -> Self:
        return cls._from(one.reference, {"path": one.path})


class Readiness(Answer):
    """Whether the service accepts requests, and what it waits for. `date`: the service's time, as
    in HTTP."""

    ready: bool
    waiting_for: tuple[str, ...] = ()
    date: str = ""


class OriginalAnswer(Answer):
    """The answer to the original client."""

    is_duplicate: bool
    duplicate_for: str


def _is_shown(match: types.Match, min_probability: float, *, by_policy: bool) -> bool:
    """Whether a match is shown; rejected ones only if all are requested."""
    if match.rejected and min_probability > 0:
        return False
    if by_policy and match.outcome is not None:
        return match.outcome is not Outcome.UNIQUE
    return match.probability >= min_probability


def _progress(job: types.Job, children: Mapping[JobState, int] | None) -> float:
    if job.state is JobState.DONE:
        return 1.0
    total = sum(children.values()) if children else 0
    if children is None or total == 0:
        return job.progress.share
    return _round_down(sum(count for state, count in children.items() if state.ended) / total)


def _at(picture: str | None, second: float) -> str | None:
    return None if picture is None else f"{picture}?at={max(second, 0.0):.3f}"
