"""Decisions of reviewers on matches."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dubl.types.match import Modality, Outcome


class Decision(StrEnum):
    """A reviewer's decision on a match.

    "licensed": a copy that may be shown. "disputed": the uploader objects. "upheld": the claim
    stands all the same. "released": the owner lets this upload be. "reopened": withdraws an earlier
    decision. "comment": decides nothing.
    """

    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    LICENSED = "licensed"
    DISPUTED = "disputed"
    UPHELD = "upheld"
    RELEASED = "released"
    REOPENED = "reopened"
    COMMENT = "comment"


class ReviewState(StrEnum):
    """The state of a match, by its latest decision.

    "closed": nobody has decided, and the reference was deleted.
    """

    OPEN = "open"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    LICENSED = "licensed"
    DISPUTED = "disputed"
    UPHELD = "upheld"
    RELEASED = "released"
    CLOSED = "closed"


# The states in which a decision is possible; the others are always.
POSSIBLE_IN = {
    Decision.DISPUTED: frozenset(
        {ReviewState.OPEN, ReviewState.CONFIRMED, ReviewState.UPHELD, ReviewState.RELEASED}
    ),
    Decision.UPHELD: frozenset({ReviewState.DISPUTED}),
}


class QueueSort(StrEnum):
    """Orders of the review queue. "doubtful": nearest to a probability of one half first."""

    NEWEST = "newest"
    OLDEST = "oldest"
    DOUBTFUL = "doubtful"
    SECONDS = "seconds"
    PROBABILITY = "probability"
    REFERENCE = "reference"
    UPLOAD = "upload"


class Facet(StrEnum):
    """What matches of the review queue are counted by, beside their state."""

    OUTCOME = "outcome"
    LIBRARY = "library"
    MODALITY = "modality"
    CHANNEL = "channel"
    REFERENCE = "reference_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A legal hold: the check is kept until its release. `by`: id of the key that set it."""

    check_id: str
    reason: str
    by: str
    created_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """One entry in a match's history. Times are UTC, ISO 8601.

    until: a dispute that nobody has answered by then releases the match; empty: it waits.
    """

    id: str
    check_id: str
    reference_id: str
    decision: Decision
    reviewer: str
    note: str
    created_at: str
    until: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A decision to be recorded. `if_state`: the state that the reviewer has seen."""

    check_id: str
    reference_id: str
    decision: Decision
    if_state: ReviewState | None = None

    def holds_in(self, state: ReviewState) -> bool:
        """Whether it may be recorded in this state."""
        seen = self.if_state in (None, state)
        return seen and state in POSSIBLE_IN.get(self.decision, ReviewState)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewConflict:
    """A match that somebody else has decided meanwhile, or in whose state the decision is not
    possible, with the latest decision."""

    check_id: str
    reference_id: str
    state: ReviewState
    reviewer: str
    decided_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedReviews:
    """`before`: the states before these entries, in their order."""

    entries: tuple[Review, ...]
    before: tuple[ReviewState, ...]
    conflicts: tuple[ReviewConflict, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFilter:
    """Which matches of the review queue; an empty field selects all.

    They reach `min_probability`, or with `by_policy` the review threshold of their own library.
    library: of the reference. references: only these ids, as those of an owner. text: in the
    upload's name or the reference's id, ignoring case, or the reference is one of `titled`.
    channel: of the upload. reviewer: of the latest decision. since, until: of the check, also the
    beginning of a time. libraries: only of checks in these alone.
    """

    state: ReviewState | None = ReviewState.OPEN
    min_probability: float = 0.0
    max_probability: float = 1.0
    by_policy: bool = False
    check_id: str = ""
    reference_id: str = ""
    references: tuple[str, ...] | None = None
    library: str = ""
    outcome: Outcome | None = None
    modality: Modality | None = None
    channel: str = ""
    reviewer: str = ""
    text: str = ""
    titled: tuple[str, ...] = ()
    since: str = ""
    until: str = ""
    libraries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueCounts:
    """Number of matches by state, and by facet those in the filter's state."""

    states: dict[ReviewState, int]
    facets: dict[Facet, dict[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewItem:
    """A match in the review queue. `created_at` is that of its check.

    until: of its dispute. limit: as in Match; empty without one. outcome: empty in old rows.
    copied_s: seconds of the upload. channel: of the upload.
    """

    check_id: str
    reference_id: str
    library: str
    probability: float
    similarity: float
    query_name: str
    state: ReviewState
    reviewer: str
    created_at: str
    outcome: str = ""
    copied_s: float = 0.0
    modality: Modality = Modality.VIDEO
    channel: str = ""
    limit: str = ""
    until: str = ""
