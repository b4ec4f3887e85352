"""Thresholds of one library, fitted to the decisions of reviewers.

The decisions show how probable a copy really is where the service answers p. The model is
P(copy) = s(a logit p + b), where s is the logistic function. A prior keeps it near the identity
(a = 1, b = 0), so few decisions change little. The new thresholds are the p at which P(copy)
reaches the policy's probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dubl.errors import InvalidRequest
from dubl.settings import PolicySettings
from dubl.types import MIN_DECISIONS, DecidedMatch, Float64Array, Precision, ThresholdReport

MIN_OF_A_KIND = 5  # copies, and non-copies; chosen
PRIOR = 2.0  # weight in decisions; chosen
MIN_SLOPE = 0.2  # smallest a; chosen, a threshold needs a rising curve
STEPS = 50  # Newton steps; 10 are usual
EDGE = 1e-4  # probabilities are kept this far from 0 and 1; chosen
Z_95 = 1.96  # standard deviations of a 95 % interval


def fit_thresholds(
    decided: Sequence[DecidedMatch],
    policy: PolicySettings,
    *,
    least_decisions: int = MIN_DECISIONS,
) -> ThresholdReport:
    """Fits the thresholds of a library to decided matches.

    The review threshold never falls below the least probable decided match: less probable ones were
    never shown. Raises InvalidRequest for fewer than `least_decisions`, or fewer than MIN_OF_A_KIND
    copies or non-copies.
    """
    copies = sum(one.copied for one in decided)
    _require_enough(len(decided), copies, least_decisions)
    probabilities = np.array([one.probability for one in decided])
    copied = np.array([one.copied for one in decided], dtype=np.float64)
    logits = _logit(probabilities)
    slope, offset = _fit(logits, copied)
    duplicate = _reaching(policy.duplicate_probability, slope, offset)
    review = max(
        _reaching(policy.review_probability, slope, offset),
        min(policy.review_probability, float(probabilities.min())),
    )
    review = min(review, duplicate)
    return ThresholdReport(
        decisions=len(decided),
        copies=copies,
        slope=slope,
        offset=offset,
        duplicate_probability=duplicate,
        review_probability=review,
        log_loss_before=_log_loss(logits, copied),
        log_loss_after=_log_loss(slope * logits + offset, copied),
        duplicate_before=precision_from(policy.duplicate_probability, decided),
        duplicate_after=precision_from(duplicate, decided),
        review_before=precision_from(policy.review_probability, decided),
        review_after=precision_from(review, decided),
    )


def precision_from(threshold: float, decided: Sequence[DecidedMatch]) -> Precision:
    """Precision at a threshold; the interval is [0, 1] if no match reaches it."""
    reaching = [one.copied for one in decided if one.probability >= threshold]
    count, copies = len(reaching), sum(reaching)
    if not count:
        return Precision(threshold=threshold, matches=0, copies=0, low=0.0, high=1.0)
    share, spread = copies / count, Z_95**2 / count
    middle = (share + spread / 2) / (1 + spread)
    half = Z_95 / (1 + spread) * math.sqrt(share * (1 - share) / count + spread / (4 * count))
    return Precision(
        threshold=threshold,
        matches=count,
        copies=copies,
        low=max(0.0, middle - half),
        high=min(1.0, middle + half),
    )


def _require_enough(decisions: int, copies: int, least: int) -> None:
    fewest = min(copies, decisions - copies)
    if decisions < least or fewest < MIN_OF_A_KIND:
        raise InvalidRequest(
            f"the library has {decisions} decided matches, {copies} of them copies. Decide at "
            f"least {least}, with {MIN_OF_A_KIND} copies and {MIN_OF_A_KIND} non-copies.",
            context={"decisions": decisions, "copies": copies},
        )


def _fit(logits: Float64Array, copied: Float64Array) -> tuple[float, float]:
    """Slope and offset by Newton's method; the penalized likelihood is concave."""
    rows = np.stack([logits, np.ones_like(logits)], axis=1)
    identity = np.array([1.0, 0.0])
    weights = identity.copy()
    for _ in range(STEPS):
        expected = 1 / (1 + np.exp(-rows @ weights))
        gradient = rows.T @ (copied - expected) - PRIOR * (weights - identity)
        curvature = (rows * (expected * (1 - expected))[:, None]).T @ rows + PRIOR * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        weights = weights + step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
    return max(MIN_SLOPE, float(weights[0])), float(weights[1])


def _reaching(probability: float, slope: float, offset: float) -> float:
    """The answered probability at which the curve reaches `probability`."""
    logit = (float(_logit(np.array([probability]))[0]) - offset) / slope
    return min(1 - EDGE, max(EDGE, 1 / (1 + math.exp(-logit))))


def _logit(probabilities: Float64Array) -> Float64Array:
    inside = np.clip(probabilities, EDGE, 1 - EDGE)
    logits: Float64Array = np.log(inside / (1 - inside))
    return logits


def _log_loss(logits: Float64Array, copied: Float64Array) -> float:
    return float(np.mean(np.logaddexp(0.0, np.where(copied > 0, -logits, logits))))
