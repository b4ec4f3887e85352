"""VCSL's segment precision and recall (He et al., 2022, section 4.2), per video pair and overall.

A box is (query start, reference start, query end, reference end). With B the boxes of one side and
C those of the other,

    covered_axis = Σ_{b in B} |∪_{c overlaps b} (b ∩ c)| / (Σ_{b in B} |b| + 1e-6)

per axis, and the value is covered_query · covered_reference (a product: no root). Precision takes
predictions for B, recall the true boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dubl.evaluation.metrics.segments import union_length

Box = tuple[float, float, float, float]

LENGTH_EPSILON = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class VcslPair:
    """Predicted and true boxes of one video pair; a negative pair has no true box."""

    predicted: Sequence[Box]
    truth: Sequence[Box]


@dataclass(frozen=True, slots=True, kw_only=True)
class VcslReport:
    """Overall values."""

    precision: float
    recall: float
    f1: float


def vcsl_precision_recall(pair: VcslPair) -> tuple[float, float]:
    """(precision, recall) of one pair.

    Nothing predicted but something true: (1, 0); predicted but nothing true: (0, 1); neither:
    (1, 1).
    """
    if not pair.predicted or not pair.truth:
        return float(not pair.predicted), float(not pair.truth)
    return _covered(pair.predicted, pair.truth), _covered(pair.truth, pair.predicted)


def vcsl_report(pairs: Sequence[VcslPair]) -> VcslReport:
    """Mean precision over pairs where it is not exactly 1, mean recall likewise, their F1.

    The 1e-6 keeps measured values below 1, so just the degenerate pairs drop out of the means.
    """
    measured = [vcsl_precision_recall(pair) for pair in pairs]
    precision = _mean([value for value, _ in measured if value != 1])
    recall = _mean([value for _, value in measured if value != 1])
    return VcslReport(precision=precision, recall=recall, f1=_f1(precision, recall))


def _covered(boxes: Sequence[Box], others: Sequence[Box]) -> float:
    return _covered_axis(boxes, others, 0) * _covered_axis(boxes, others, 1)


def _covered_axis(boxes: Sequence[Box], others: Sequence[Box], axis: int) -> float:
    shared = sum(
        union_length(
            (max(box[axis], other[axis]), min(box[axis + 2], other[axis + 2]))
            for other in others
            if _overlap(box, other)
        )
        for box in boxes
    )
    return shared / (sum(box[axis + 2] - box[axis] for box in boxes) + LENGTH_EPSILON)


def _overlap(box: Box, other: Box) -> bool:
    return all(min(box[axis + 2], other[axis + 2]) > max(box[axis], other[axis]) for axis in (0, 1))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0


def _f1(precision: float, recall: float) -> float:
    total = precision + recall
    return 2 * precision * recall / total if total > 0 else 0.0
