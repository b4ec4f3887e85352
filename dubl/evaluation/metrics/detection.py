"""Quality of answers and rankings: yes/no answers with their intervals, and average precision.

A query is answered with its top reference and a score. A positive answer (score at least the
threshold) is right only if the top reference is one that the query copies. The right alarm with the
wrong reference does not help.

Average precision is the area under the precision-recall staircase, AP = Σ_n P(n)·(R(n) − R(n−1)),
where n walks down the ranking, P(n) is the share of right ones among the first n and R(n) the share
of all right ones that are among them. Right ones that were never returned count in R's denominator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import exp, lgamma, log, log1p, sqrt
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Item = TypeVar("Item")

NORMAL_QUANTILE = 1.959963984540054  # 97.5 %: two-sided 95 %
TAIL = 0.025  # chance beyond each end of an interval
HALVINGS = 60  # of [0,1]: more than a float holds


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One query: the references it copies (none: an original), the one found, and its score."""

    expected: frozenset[str]
    found: str
    score: float

    @property
    def is_right(self) -> bool:
        return self.found in self.expected


class Estimate(NamedTuple):
    """A value with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


class OperatingPoint(NamedTuple):
    """The results at one threshold."""

    threshold: float
    precision: float
    recall: float
    f1: float


def operating_point(answers: Sequence[Answer], threshold: float) -> OperatingPoint:
    """Strict precision, recall and F1 at a threshold.

    TP: a copy answered with a right reference. FP: any other positive answer, FN: any other copy;
    a copy answered with a wrong reference is both. F1 = 2TP / (2TP + FP + FN). Precision is 1 when
    nothing is answered positively.
    """
    positive = [answer for answer in answers if answer.score >= threshold]
    right = sum(answer.is_right for answer in positive)
    copies = sum(bool(answer.expected) for answer in answers)
    return _point(threshold, right, len(positive), copies)


def strict_f1(answers: Sequence[Answer], threshold: float) -> float:
    """F1 of operating_point."""
    return operating_point(answers, threshold).f1


def operating_points(answers: Sequence[Answer]) -> list[OperatingPoint]:
    """The points of all distinct thresholds, highest first.

    Equal scores are accepted together. The first point accepts nothing (threshold infinite).
    """
    ranked = sorted(answers, key=lambda answer: answer.score, reverse=True)
    copies = sum(bool(answer.expected) for answer in answers)
    points = [OperatingPoint(float("inf"), 1.0, 0.0, 0.0)]
    accepted = right = 0
    for threshold, group in groupby(ranked, key=lambda answer: answer.score):
        verdicts = [answer.is_right for answer in group]
        accepted, right = accepted + len(verdicts), right + sum(verdicts)
        points.append(_point(threshold, right, accepted, copies))
    return points


def best_operating_point(answers: Sequence[Answer]) -> OperatingPoint:
    """The point of the highest strict F1; of equal ones that with the higher threshold.

    Choose on other queries than those reported.
    """
    return max(operating_points(answers), key=lambda point: point.f1)


def recall_at_precision(answers: Sequence[Answer], precision: float = 1.0) -> OperatingPoint:
    """The point of the highest recall with a precision of at least `precision`.

    If no threshold reaches it: recall 0, threshold infinite.
    """
    reached = [point for point in operating_points(answers) if point.precision >= precision]
    return max(reached, key=lambda point: point.recall)


def false_positive_rate(answers: Sequence[Answer], threshold: float) -> Estimate:
    """Share of originals with a positive answer, with its Wilson interval."""
    originals = [answer for answer in answers if not answer.expected]
    return wilson(sum(answer.score >= threshold for answer in originals), len(originals))


def wilson(successes: int, trials: int) -> Estimate:
    """A share with its 95 % Wilson score interval (Wilson, 1927).

    The interval holds the shares p for which the observed one lies within z standard errors,
    |k/n − p| ≤ z·sqrt(p(1 − p)/n), solved for p:
    (k/n + z²/2n ± z·sqrt((k/n)(1 − k/n)/n + z²/4n²)) / (1 + z²/n). Unlike the textbook interval it
    does not shrink to nothing at 0 of n. Without trials nothing is known: [0,1].
    """
    if trials == 0:
        return Estimate(0.0, 0.0, 1.0)
    share, z2 = successes / trials, NORMAL_QUANTILE**2
    center = share + z2 / (2 * trials)
    spread = NORMAL_QUANTILE * sqrt(share * (1 - share) / trials + z2 / (4 * trials**2))
    scale = 1 + z2 / trials
    low = 0.0 if successes == 0 else (center - spread) / scale
    high = 1.0 if successes == trials else (center + spread) / scale
    return Estimate(share, low, high)


def clopper_pearson(successes: int, trials: int) -> Estimate:
    """A share with its exact 95 % interval (Clopper & Pearson, 1934).

    Its ends are the shares p at which so many successes or more, and so many or fewer, have a
    chance of 2.5 %: the interval never covers less than 95 %. Without trials: [0,1].
    """
    if trials == 0:
        return Estimate(0.0, 0.0, 1.0)
    low = 0.0 if successes == 0 else _share_where(successes - 1, trials, 1 - TAIL)
    high = 1.0 if successes == trials else _share_where(successes, trials, TAIL)
    return Estimate(successes / trials, low, high)


def _share_where(most: int, trials: int, chance: float) -> float:
    """The share p at which at most `most` successes have this chance. It falls with p."""
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        below = _at_most(most, trials, middle) > chance
        low, high = (middle, high) if below else (low, middle)
    return (low + high) / 2


def _at_most(most: int, trials: int, share: float) -> float:
    """The chance of at most `most` successes, 0 < share < 1."""
    return sum(
        exp(
            lgamma(trials + 1)
            - lgamma(k + 1)
            - lgamma(trials - k + 1)
            + k * log(share)
            + (trials - k) * log1p(-share)
        )
        for k in range(most + 1)
    )


def bootstrap(
    statistic: Callable[[Sequence[Item]], float],
    items: Sequence[Item],
    *,
    seed: int = 0,
    rounds: int = 1000,
) -> Estimate:
    """A statistic of items (queries) with its 95 % percentile bootstrap interval.

    Items are drawn with replacement, as many as there are; the interval spans the 2.5 % to 97.5 %
    quantiles of the statistic over `rounds` draws. Draw whole queries: pairs of one query are not
    independent.
    """
    generator = np.random.default_rng(seed)
    draws = generator.integers(0, len(items), size=(rounds, len(items)))
    values = [statistic([items[index] for index in draw]) for draw in draws.tolist()]
    low, high = np.quantile(values, [0.025, 0.975])
    return Estimate(statistic(items), float(low), float(high))


def _point(threshold: float, right: int, accepted: int, copies: int) -> OperatingPoint:
    return OperatingPoint(
        threshold=threshold,
        precision=right / accepted if accepted else 1.0,
        recall=right / copies if copies else 0.0,
        f1=2 * right / (accepted + copies) if accepted or copies else 0.0,
    )


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
