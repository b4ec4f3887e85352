"""Fits a calibration to labeled evidence: ridge logistic regression by Newton's method.

For the logistic likelihood Newton's step is iteratively reweighted least squares:
β ← β + (XᵀWX + λI)⁻¹ (Xᵀ(y - p) - λβ), W = diag(p(1 - p)).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dubl.matching.calibration import EVIDENCE_NAMES, Evidence
from dubl.types import Float64Array

RIDGE = 1e-3
COPY_SHARE = 0.1
STEPS = 100
TOLERANCE = 1e-9


def fit_weights(
    evidence: Sequence[Evidence],
    labels: Sequence[bool],
    *,
    ridge: float = RIDGE,
    copy_share: float = COPY_SHARE,
) -> tuple[float, dict[str, float]]:
    """Intercept and weights; a weight is never negative.

    A set of examples holds as many copies as its maker wanted; the probabilities are those for a
    world in which `copy_share` of the compared pairs are copies (one candidate in ten). Both kinds
    have half of the say in the weights; the share then moves the intercept. `ridge` is the
    strength of the penalty per example, on standardized evidence. A piece of evidence that would
    speak against a copy is left out (weight 0), so that more evidence never lowers a probability.
    Raises ValueError unless both labels occur.
    """
    values = np.array([[getattr(one, name) for name in EVIDENCE_NAMES] for one in evidence])
    target = np.array(labels, dtype=np.float64)
    if not 0 < target.sum() < len(target):
        raise ValueError("fitting needs copies and others")
    importance = np.where(target > 0, 0.5 / target.mean(), 0.5 / (1 - target.mean()))
    used = list(range(values.shape[1]))
    while True:
        intercept, weights = fit_logistic(values[:, used], target, importance, ridge)
        if not len(weights) or weights.min() >= 0:
            break
        used.pop(int(weights.argmin()))
    fitted = dict.fromkeys(EVIDENCE_NAMES, 0.0)
    fitted |= {EVIDENCE_NAMES[k]: float(weight) for k, weight in zip(used, weights, strict=True)}
    return intercept + math.log(copy_share / (1 - copy_share)), fitted


def fit_logistic(
    values: Float64Array, target: Float64Array, importance: Float64Array, ridge: float
) -> tuple[float, Float64Array]:
    """Intercept and weights for `values` [n,k] in their own units. `target` [n] is 0 or 1,
    `importance` [n] its say, `ridge` as in `fit_weights`."""
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
    """How well scores part copies from others.

    `auc`: chance that a copy outscores another pair; `copies_above_all_others`: share of the
    copies above every other pair; `copies_at_1_percent`: share above 99 % of them.
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
