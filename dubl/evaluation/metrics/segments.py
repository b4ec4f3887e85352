"""VSC2022's matching track: average precision over matched seconds.

A prediction is a box in the plane of query time and reference time. After the k best predictions,
per axis, with sums over video pairs:

    I = Σ |∪ predicted ∩ ∪ true'|   true' = true boxes that a prediction of the pair overlaps in 2-D
    P_axis = I / Σ |∪ predicted|    R_axis = I / Σ |∪ true|
    P = sqrt(P_q·P_r), R = sqrt(R_q·R_r), AP = Σ P·ΔR

so a box counts only where both times are right, and predicting the same seconds twice costs
nothing. Equal scores enter together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dubl.errors import InvalidRequest

Pair = tuple[str, str]
Interval = tuple[float, float]
# Seconds on the query's axis and on the reference's.
Lengths = tuple[float, float]

_TINY_S = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredSegment:
    """A true or predicted copy; `axes`: seconds of the query, and of the reference."""

    query_id: str
    reference_id: str
    axes: tuple[Interval, Interval]
    score: float = 1.0

    @property
    def pair(self) -> Pair:
        return (self.query_id, self.reference_id)

    def overlaps(self, other: ScoredSegment) -> bool:
        """Whether the boxes share an area; touching is not enough."""
        return all(
            min(mine[1], theirs[1]) > max(mine[0], theirs[0])
            for mine, theirs in zip(self.axes, other.axes, strict=True)
        )


@dataclass(slots=True)
class _PairState:
    """Boxes of one video pair so far, and what they amount to."""

    truth: list[ScoredSegment] = field(default_factory=list)
    predicted: list[ScoredSegment] = field(default_factory=list)

    def lengths(self) -> tuple[Lengths, Lengths]:
        """(|∪ predicted ∩ ∪ true'|, |∪ predicted|), each per axis."""
        met = [one for one in self.truth if any(map(one.overlaps, self.predicted))]
        predicted, true = _union_lengths(self.predicted), _union_lengths(met)
        both = _union_lengths([*self.predicted, *met])
        shared = (predicted[0] + true[0] - both[0], predicted[1] + true[1] - both[1])
        return shared, predicted


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentGains:
    """What each prediction adds to the sums of the formula; sets of whole queries add up.

    scores float64 [n]; shared, covered float64 [n,2]: seconds added to I and to Σ|∪ predicted| on
    both axes by each prediction in the order of scores; wanted float64 [2]: Σ|∪ true|.
    """

    scores: NDArray[np.float64]
    shared: NDArray[np.float64]
    covered: NDArray[np.float64]
    wanted: NDArray[np.float64]


def segment_gains(
    predictions: Sequence[ScoredSegment], truth: Sequence[ScoredSegment]
) -> SegmentGains:
    """Gains of predictions about some queries, given all that is true of those queries."""
    pairs: defaultdict[Pair, _PairState] = defaultdict(_PairState)
    for segment in truth:
        pairs[segment.pair].truth.append(segment)
    wanted = [_union_lengths(state.truth) for state in pairs.values()]
    ranked = sorted(predictions, key=lambda segment: segment.score, reverse=True)
    gains = np.zeros((len(ranked), 2, 2))
    for place, segment in enumerate(ranked):
        state = pairs[segment.pair]
        before = state.lengths()
        state.predicted.append(segment)
        gains[place] = np.subtract(state.lengths(), before)
    return SegmentGains(
        scores=np.array([segment.score for segment in ranked], dtype=np.float64),
        shared=gains[:, 0],
        covered=gains[:, 1],
        wanted=np.array(wanted, dtype=np.float64).reshape(-1, 2).sum(axis=0),
    )


def gains_ap(parts: Sequence[SegmentGains]) -> float:
    """Average precision of the predictions of all parts; see the module for the formula.

    Raises InvalidRequest when there is no true segment to find.
    """
    wanted = np.sum([part.wanted for part in parts], axis=0)
    if wanted.min(initial=np.inf) <= 0 or not parts:
        raise InvalidRequest("segment AP needs true segments with a length")
    scores = np.concatenate([part.scores for part in parts])
    if not len(scores):
        return 0.0
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    shared = np.cumsum(np.concatenate([part.shared for part in parts])[order], axis=0)[ends]
    covered = np.cumsum(np.concatenate([part.covered for part in parts])[order], axis=0)[ends]
    precision = np.where(covered > 0, shared / np.maximum(covered, _TINY_S), 0.0)
    reached = _geometric_mean(shared / wanted)
    return float(np.sum(_geometric_mean(precision) * np.diff(reached, prepend=0.0)))


def union_length(intervals: Iterable[Interval]) -> float:
    """Length of the union; touching intervals merge."""
    total, current = 0.0, None
    for start, end in sorted(intervals):
        if current is None or start > current[1]:
            total += 0.0 if current is None else current[1] - current[0]
            current = (start, end)
        else:
            current = (current[0], max(end, current[1]))
    return total if current is None else total + current[1] - current[0]


def _union_lengths(segments: Sequence[ScoredSegment]) -> Lengths:
    return (
        union_length(segment.axes[0] for segment in segments),
        union_length(segment.axes[1] for segment in segments),
    )


def _geometric_mean(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """sqrt(query share · reference share) of [n,2]."""
    return np.sqrt(np.maximum(shares[:, 0] * shares[:, 1], 0.0))
