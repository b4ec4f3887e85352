"""Average precision over rankings: VSC2022's descriptor track, and FIVR's retrieval.

Average precision is the area under the precision-recall staircase, AP = Σ_n P(n)·(R(n) − R(n−1)),
where n walks down the ranking, P(n) is the share of right ones among the first n and R(n) the share
of all right ones that are among them. Right ones that were never returned count in R's denominator.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]
Scores = NDArray[np.float64]


def grouped_average_precision(relevant: Flags, scores: Scores, *, positives: int) -> float:
    """VSC2022 µAP over pairs: entries of one score enter together, whatever their order.

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


def average_precision(relevant: Flags, scores: Scores, *, positives: int) -> float:
    """FIVR AP of one query's ranking: Σ over relevant ones of precision@rank / positives.

    Equal scores rank in reverse order of listing, as in the authors' evaluation.
    """
    if positives < 1:
        return 0.0
    ranked = relevant[np.argsort(scores, kind="stable")[::-1]]
    precision = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
    return float(np.sum(precision * ranked) / positives)
