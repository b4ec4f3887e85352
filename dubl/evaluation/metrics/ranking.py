"""Average precision over rankings: VSC2022's descriptor track, and FIVR's retrieval.

Average precision is the area under the precision-recall staircase, AP = Σ_n P(n)·(R(n) − R(n−1)),
where n walks down the ranking, P(n) is the share of right ones among the first n and R(n) the share
of all right ones that are among them. Right ones that were never returned count in R's denominator.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubl.errors import InvalidRequest

Flags = NDArray[np.bool_]
Scores = NDArray[np.float64]
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairScore:
    """The similarity score of a query and a reference; higher is more similar."""

    query_id: str
    reference_id: str
    score: float

    @property
    def pair(self) -> Pair:
        return (self.query_id, self.reference_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedQuery:
    """One query's database: relevance and scores of its entries, and the number of relevant videos,
    including those without a score.
    """

    relevant: Flags
    scores: Scores
    positives: int


def grouped_average_precision(relevant: Flags, scores: Scores, *, positives: int) -> float:
    """AP with entries of one score entering together, hence independent of their order.

    At the end of each group of equal scores, with TP right ones among N: P = TP / N, R = TP /
    positives; AP = Σ over groups P·ΔR. With distinct scores that is Σ over right ones of
    precision@rank / positives.
    """
    if positives < 1 or len(scores) == 0:
        return 0.0
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    group_ends = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(ordered) - 1)
    right = np.cumsum(relevant[order])[group_ends]
    gained = np.diff(right, prepend=0)
    return float(np.sum(right / (group_ends + 1) * gained) / positives)


def ordered_average_precision(relevant: Flags, *, positives: int) -> float:
    """AP of entries already in order: Σ over right ones of precision@rank / positives."""
    if positives < 1:
        return 0.0
    precision = np.cumsum(relevant) / np.arange(1, len(relevant) + 1)
    return float(np.sum(precision * relevant) / positives)


def micro_ap(predictions: Sequence[PairScore], truth: Collection[Pair]) -> float:
    """VSC2022 descriptor µAP: grouped AP over the pairs of all queries pooled.

    Raises InvalidRequest on duplicate pairs and on scores that are not finite.
    """
    relevant, scores = _judged(predictions, truth)
    return grouped_average_precision(relevant, scores, positives=len(truth))


def average_precision(query: RankedQuery) -> float:
    """FIVR AP of one query: Σ over relevant ones of precision@rank / positives.

    Equal scores rank in reverse order of listing, as in the authors' evaluation.
    """
    order = np.argsort(query.scores, kind="stable")[::-1]
    return ordered_average_precision(query.relevant[order], positives=query.positives)


def mean_average_precision(queries: Sequence[RankedQuery]) -> float:
    """FIVR mAP: mean AP of the queries that have a positive (DSVR, CSVR, ISVR by relevance)."""
    values = [average_precision(query) for query in queries if query.positives > 0]
    return float(np.mean(values)) if values else 0.0


def _judged(predictions: Sequence[PairScore], truth: Collection[Pair]) -> tuple[Flags, Scores]:
    pairs, right = [entry.pair for entry in predictions], set(truth)
    if len(set(pairs)) != len(pairs) or len(right) != len(truth):
        raise InvalidRequest("a pair of query and reference occurs more than once")
    scores = np.array([entry.score for entry in predictions], dtype=np.float64)
    if not np.isfinite(scores).all():
        raise InvalidRequest("scores must be finite")
    return np.array([pair in right for pair in pairs], dtype=np.bool_), scores
