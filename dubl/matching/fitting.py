"""Fits a calibration to labeled signals by ridge logistic regression with Newton's method.

For the logistic likelihood Newton's step is iteratively reweighted least squares:
β ← β + (XᵀWX + λI)⁻¹ (Xᵀ(y - p) - λβ), W = diag(p(1 - p)).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dubl.matching.calibration import SIGNAL_NAMES, Signals
from dubl.rights.terms import Rights
from dubl.types import Float64Array, SoundFeatures, VideoFeatures

RIDGE = 1e-3  # penalty per example, on standardized signals; chosen
COPY_SHARE = 0.1  # share of copies among compared pairs: about one of ten candidates; chosen
STEPS = 100  # Newton steps at most; 10 are usual
TOLERANCE = 1e-9  # greatest change of a coefficient that ends the fit; chosen


def fit_weights(
    signals: Sequence[Signals],
    labels: Sequence[bool],
    *,
    ridge: float = RIDGE,
    copy_share: float = COPY_SHARE,
) -> tuple[float, dict[str, float]]:
    """Intercept and weights; a weight is never negative.

    The share of copies among the examples is arbitrary, so copies and others get half of the total
    importance each. Then the intercept is moved to a world with `copy_share` copies. `ridge` is the
    penalty per example, on standardized signals. A signal with a negative weight is left out
    (weight 0): a stronger signal never lowers a probability. Raises ValueError unless both labels
    occur.
    """
    values = np.array([[getattr(one, name) for name in SIGNAL_NAMES] for one in signals])
    target = np.array(labels, dtype=np.float64)
    if not 0 < target.sum() < len(target):
        raise ValueError("a fit needs copies and others; the labels have one kind only")
    importance = np.where(target > 0, 0.5 / target.mean(), 0.5 / (1 - target.mean()))
    used = list(range(values.shape[1]))
    while True:
        intercept, weights = fit_logistic(values[:, used], target, importance, ridge)
        if not len(weights) or weights.min() >= 0:
            break
        used.pop(int(weights.argmin()))
    fitted = dict.fromkeys(SIGNAL_NAMES, 0.0)
    fitted |= {SIGNAL_NAMES[k]: float(weight) for k, weight in zip(used, weights, strict=True)}
    return intercept + math.log(copy_share / (1 - copy_share)), fitted


def fit_logistic(
    values: Float64Array, target: Float64Array, importance: Float64Array, ridge: float
) -> tuple[float, Float64Array]:
    """Intercept and weights for `values` [n,k] in their own units.

    `target` [n] is 0 or 1, `importance` [n] the weight of each example, `ridge` as in
    `fit_weights`.
    """
    mean, scale = values.mean(axis=0), values.std(axis=0) + 1e-9
    design = np.column_stack([np.ones(len(values)), (values - mean) / scale])
    penalty = ridge * len(values) * np.diag([1e-6, *np.ones(values.shape[1])])
    beta = np.zeros(design.shape[1])
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-np.clip(design @ beta, -30, 30)))
        gradient = design.T @ (importance * (target - chance)) - penalty @ beta
        curvature = (design.T * (importance * chance * (1 - chance))) @ design + penalty
        step = np.linalg.solve(curvature, gradient)
        beta = beta + step
        if np.abs(step).max() < TOLERANCE:
            break
    weights = beta[1:] / scale
    return float(beta[0] - weights @ mean), weights


def separation(scores: Sequence[float], labels: Sequence[bool]) -> dict[str, float]:
    """How well scores separate copies from others.

    `auc`: probability that a copy has a higher score than another pair; ties count half.
    `copies_above_all_others`: share of copies above every other pair.
    `copies_at_1_percent`: share of copies above 99 % of the other pairs.
    """
    values, target = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=bool)
    copies, others = values[target], np.sort(values[~target])
    below = np.searchsorted(others, copies, side="left")
    upto = np.searchsorted(others, copies, side="right")
    return {
        "copies": float(len(copies)),
        "others": float(len(others)),
        "auc": float((below + upto).mean() / 2 / len(others)),
        "copies_above_all_others": float((copies > others[-1]).mean()),
        "copies_at_1_percent": float((copies > np.quantile(others, 0.99)).mean()),
    }


class NoFeatures:
    """A store for pairs that come with their features: any look-up is an error."""

    def read_features(self, reference_ids: Sequence[str]) -> dict[str, VideoFeatures]:
        raise LookupError(f"no features of {reference_ids}")

    def read_sounds(self, reference_ids: Sequence[str]) -> dict[str, SoundFeatures]:
        raise LookupError(f"no sounds of {reference_ids}")

    def read_rights(self, reference_ids: Sequence[str]) -> dict[str, Rights]:
        raise LookupError(f"no rights of {reference_ids}")
