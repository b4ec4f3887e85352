"""What becomes of its features: CandidateSet → MatchSet → Verdict, kept as a Check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from dubl.rights.terms import ANYWHERE, UNJUDGED, Action, CheckContext, Rights, Ruling
from dubl.types.video import Timings


class Outcome(StrEnum):
    """What the decision says of a query."""

    DUPLICATE = "duplicate"
    REVIEW = "review"
    UNIQUE = "unique"


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
    make of its probability alone; None in verdicts of older versions. `agreement`: how alike the
    pixels of both move, in [0,1], where the features left doubt and that could be told; `ceiling`:
    the most that it may make of the probability (a shared intro moves alike too).
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
    agreement: float | None = None
    ceiling: float = 1.0


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
