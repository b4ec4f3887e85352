"""The later hops of a query: CandidateSet → MatchSet → Verdict, stored as a Check."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from dubl.rights.terms import ANYWHERE, NO_RULING, Action, CheckContext, Rights, Ruling
from dubl.types.video import Note, Timings


class Outcome(StrEnum):
    """The decision on a query."""

    DUPLICATE = "duplicate"
    REVIEW = "review"
    UNIQUE = "unique"


class Modality(StrEnum):
    """Where a match, or one of its segments, was found: in the picture, the sound, or both."""

    VIDEO = "video"
    AUDIO = "audio"
    BOTH = "both"


class SoundRelation(StrEnum):
    """What the sounds of both videos say about a match of their pictures."""

    UNKNOWN = "unknown"  # one of them has no sound there, or nothing is to be heard
    AGREES = "agrees"  # the same sound at the same place
    DIFFERS = "differs"  # both have sound there, and it is another one


class Limit(StrEnum):
    """A rule that keeps a match's probability from being higher."""

    STILL = "still"  # hardly anything changes in both alike
    SHARED_EDGE = "shared_edge"  # it may be an intro or outro of many videos
    COMMON = "common"  # it is hardly more alike than other videos are
    UNPROVEN = "unproven"  # too little moves for pixels to prove a copy
    CONTESTED = "contested"  # several references are as alike, and pixels prove none
    OTHER_SOUND = "other_sound"  # pictures are still, and sounds differ


MIN_CHANCE = 1e-6  # probability; chosen, keeps the logarithm of the odds finite


def log_odds(chance: float) -> float:
    """ln(p / (1 - p)) of a probability in [0,1], within MIN_CHANCE of its ends."""
    odds = min(max(chance, MIN_CHANCE), 1 - MIN_CHANCE)
    return math.log(odds / (1 - odds))


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """What one piece of evidence, or a Limit, adds to the log-odds of a match; `value`: its own."""

    name: str
    value: float
    log_odds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameHit:
    """One query frame near one reference frame. Similarity is a cosine, higher = more alike."""

    query_time_s: float
    reference_time_s: float
    similarity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A retrieved reference, with the frame hits that support it."""

    reference_id: str
    library: str
    score: float
    hits: tuple[FrameHit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateSet:
    """Candidates, best first. heard: those whose sound is similar. searched: number of references
    in the searched libraries. asked_for: one that is compared whatever its place.
    """

    candidates: tuple[Candidate, ...]
    index_version: int
    searched: int | None = None
    timings_ms: Timings = field(default_factory=dict)
    heard: tuple[Candidate, ...] = ()
    asked_for: Candidate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSpan:
    """Seconds of the first and the last of consecutive sampled frames, equal for one frame."""

    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameFound:
    """A reference that shows a picture; `spans`: where its most similar frames are, ascending."""

    reference_id: str
    library: str
    similarity: float
    spans: tuple[FrameSpan, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A segment that both videos share, in seconds of either video.

    Starts are before ends on both sides; `reversed` marks a copy that plays backwards. modality:
    BOTH if the sound agrees with the picture there.
    """

    query_start_s: float
    query_end_s: float
    reference_start_s: float
    reference_end_s: float
    similarity: float
    reversed: bool = False
    modality: Modality = Modality.VIDEO

    @property
    def speed(self) -> float:
        """Reference seconds that pass in one query second."""
        query_s = max(self.query_end_s - self.query_start_s, 1e-6)
        return (self.reference_end_s - self.reference_start_s) / query_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """The sounds of a query and a reference, compared.

    segments: what they share, best first. likelihood: of the best, in [0,1]. query_spans and
    reference_spans: spans in seconds, ascending, in which there is something to be heard.
    """

    library: str
    segments: tuple[Segment, ...]
    likelihood: float
    query_spans: tuple[tuple[float, float], ...]
    reference_spans: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A re-ranked candidate.

    similarity: in [0,1]; 1 is identical.
    segments: best first, possibly none, without `excluded_s` seconds in excluded segments of the
    reference and `common_s` seconds of common material.
    rejected: a reviewer decided that these bytes do not copy this reference.
    rights: the ruling under the reference's rights.
    outcome: of the probability alone, by the library's thresholds; None in old verdicts.
    agreement: pixel correlation, in [0,1]; None if pixels were not compared.
    ceiling: highest probability that pixels and sound may give, by the limit `ceiling_by`.
    truncated: both videos share more segments than these.
    video_stream: place of the query's video stream that copies, if players do not show it.
    modality: AUDIO if only the sound matches; the segments are of it then. sound: what the sounds
    say. still: the picture hardly changes along the best segment, which alone proves little.
    terms: what led to the probability, in order; their log-odds add up to its own. Empty in old
    verdicts.
    """

    reference_id: str
    library: str
    similarity: float
    probability: float
    segments: tuple[Segment, ...]
    rejected: bool = False
    excluded_s: float = 0.0
    common_s: float = 0.0
    rights: Ruling = NO_RULING
    outcome: Outcome | None = None
    agreement: float | None = None
    ceiling: float = 1.0
    ceiling_by: Limit = Limit.SHARED_EDGE
    truncated: bool = False
    video_stream: int | None = None
    modality: Modality = Modality.VIDEO
    sound: SoundRelation = SoundRelation.UNKNOWN
    still: bool = False
    terms: tuple[Term, ...] = ()

    @property
    def limit(self) -> Limit | None:
        """The rule without which the probability would be higher."""
        last = self.terms[-1].name if self.terms else ""
        return Limit(last) if last in set(Limit) else None

    def at(self, probability: float, by: str, value: float = 0.0) -> Match:
        """The match with another probability, because of one more piece of evidence."""
        before = sum(one.log_odds for one in self.terms)
        term = Term(name=by, value=value, log_odds=log_odds(probability) - before)
        return replace(self, probability=probability, terms=(*self.terms, term))

    def below(self, most: float, limit: Limit) -> Match:
        """The match with a probability of at most `most`, because of `limit`."""
        return self if self.probability <= most else self.at(most, limit, most)


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchSet:
    """Matches of the pictures, most probable first.

    damaged: part of the query could not be read. rights: of the matched references, by id. heard:
    comparisons of sounds, by id of the reference. alike: by id, the ids of other references that
    features take for versions of it.
    """

    matches: tuple[Match, ...]
    index_version: int
    searched: int | None = None
    damaged: bool = False
    notes: tuple[Note, ...] = ()
    timings_ms: Timings = field(default_factory=dict)
    rights: Mapping[str, Rights] = field(default_factory=dict)
    heard: Mapping[str, Heard] = field(default_factory=dict)
    alike: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer: an outcome, and every re-ranked match, those that count first.

    The HTTP layer hides weak matches. probability: of the best match that counts. searched: number
    of references in the searched libraries; None in old verdicts. damaged: only
    part of the query could be read. action: the strictest action of the owners of the found
    references. context: territory, channel and time of the check. audio_matches: references of
    which only the sound was found, and whose rights claim the picture; they never count.
    """

    outcome: Outcome
    probability: float
    matches: tuple[Match, ...]
    model_id: str
    policy_version: str
    index_version: int
    searched: int | None = None
    damaged: bool = False
    notes: tuple[Note, ...] = ()
    timings_ms: Timings = field(default_factory=dict)
    action: Action = Action.BLOCK
    context: CheckContext = ANYWHERE
    audio_matches: tuple[Match, ...] = ()

    def nearest(self) -> list[Match]:
        """The matches that were compared in full, most probable first."""
        return sorted(self.matches, key=lambda match: (-match.probability, -match.similarity))


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A verdict as stored in the ledger, with its question.

    `earlier_id`: an earlier check of the same upload, before the reference was registered.
    """

    id: str
    query_name: str
    query_sha256: str
    libraries: tuple[str, ...]
    created_at: str
    verdict: Verdict
    earlier_id: str = ""
