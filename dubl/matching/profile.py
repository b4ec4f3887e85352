"""The profile of a line through a similarity matrix, and the stretches of it that are a copy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubl.matching.peaks import Matrix, Peaks
from dubl.matching.timeline import Line, Timeline
from dubl.types import Float32Array, Float64Array

BoolArray = NDArray[np.bool_]
STANDOUT = 0.3  # vote from which a row surely lies on the line; chosen
BACKGROUND_SAMPLES = 512  # rows or columns sampled for a median; chosen, bounds the time


@dataclass(frozen=True, slots=True, kw_only=True)
class Background:
    """Median similarity of each row [T] and column [U]: the usual similarity of the frame."""

    rows: Float32Array
    columns: Float32Array

    @classmethod
    def of(cls, similarity: Matrix) -> Background:
        """Long sides are sampled at BACKGROUND_SAMPLES rows or columns."""
        row_step = -(-similarity.shape[0] // BACKGROUND_SAMPLES)
        column_step = -(-similarity.shape[1] // BACKGROUND_SAMPLES)
        return cls(
            rows=np.median(similarity[:, ::column_step], axis=1).astype(np.float32),
            columns=np.median(similarity[::row_step], axis=0).astype(np.float32),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LineProfile:
    """Values of each query row, all [T].

    similarity: along the line, of the better of the two reference frames around it.
    contrast: similarity above the background.
    support: in [-1,1], how surely the row belongs to the copy.
    inside: whether the line lies within the reference.
    """

    similarity: Float64Array
    contrast: Float64Array
    support: Float64Array
    inside: BoolArray


def read_profile(
    line: Line,
    similarity: Matrix,
    background: Background,
    standout: Float64Array,
    query: Timeline,
    reference: Timeline,
    *,
    margin: float,
) -> LineProfile:
    """Follows `line` through `similarity` [T,U].

    `standout` [T]: vote of the row's best peak near the line. A row supports the copy if its
    similarity is nearer to the line's median than to the background, or if it stands out by itself.
    If line and background are similar, it may lie up to `margin` below the line's median.
    """
    positions = line.at(query.times_s)
    slack = reference.step_s / 2 + 1e-6
    inside = (positions >= -slack) & (positions <= reference.duration_s + slack)
    rows = np.arange(len(positions))
    values, columns = read_line(similarity, rows, positions, reference)
    around = np.maximum(background.rows, background.columns[columns]).astype(np.float64)
    firm = inside & (standout >= STANDOUT)
    level = float(np.median(values[firm])) if firm.any() else 1.0
    half = np.maximum((level - around) / 2, margin)
    support = np.clip((values - level) / half + 1.0, -1.0, 1.0)
    rescued = np.where(values - around >= 2 * margin, 2 * standout - 1.0, -1.0)
    support = np.where(inside, np.maximum(support, rescued), -1.0)
    return LineProfile(similarity=values, contrast=values - around, support=support, inside=inside)


def read_line(
    similarity: Matrix, rows: NDArray[np.int64], positions_s: Float64Array, reference: Timeline
) -> tuple[Float64Array, NDArray[np.int64]]:
    """Similarity of `rows` [N] at `positions_s` [N] of the reference, and the columns used, [N].

    The better of the two frames around the position counts. Interpolation between two frames would
    make every moving copy dissimilar.
    """
    fractional = np.interp(positions_s, reference.times_s, np.arange(len(reference.times_s)))
    # Within .01 steps of a frame, the position is that frame.
    low = np.floor(fractional + 0.01).astype(np.int64)
    high = np.ceil(fractional - 0.01).astype(np.int64)
    left = similarity[rows, low].astype(np.float64)
    right = similarity[rows, high].astype(np.float64)
    return np.maximum(left, right), np.where(left >= right, low, high)


def standout_of_rows(
    line: Line, peaks: Peaks, weights: Float64Array, query: Timeline, reference: Timeline
) -> Float64Array:
    """The best vote of each row's peaks within one reference step of the line, [T]."""
    distance = np.abs(reference.times_s[peaks.columns] - line.at(query.times_s[peaks.rows]))
    near = distance <= reference.step_s
    best = np.zeros(len(query.times_s))
    np.maximum.at(best, peaks.rows[near], weights[near])
    return best


def supported_stretches(
    support: Float64Array, spans_s: Float64Array, *, max_gap_s: float
) -> list[tuple[int, int]]:
    """Stretches of rows (first, last) with the greatest sums of support · seconds.

    A stretch ends where the sum has fallen by `max_gap_s` below its peak. Shorter disagreements are
    bridged, longer ones split the stretch.
    """
    found: list[tuple[int, int]] = []
    total = peak = 0.0
    first = last = 0
    for row, gain in enumerate((support * spans_s).tolist()):
        if total <= 0:
            total, peak, first, last = 0.0, 0.0, row, row
        total += gain
        if total > peak:
            peak, last = total, row
        if peak > 0 and (total <= 0 or peak - total > max_gap_s):
            found.append((first, last))
            total, peak = 0.0, 0.0
    if peak > 0:
        found.append((first, last))
    return found
