"""Search of straight lines among the peaks: a Hough transform, then a local fit."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dubl.matching.peaks import Peaks
from dubl.matching.timeline import Line, Timeline
from dubl.types import Float64Array

# All values are chosen.
LINES_PER_SLOPE = 3  # highest bins of one slope's histogram
REVERSED_PRIOR = 0.85  # factor on the support of a reversed line
SPEED_PRIOR = 0.1  # share of support lost for each doubling or halving of speed
FIRST_WINDOW_S = 20.0  # seconds of the query, half of the first window of the fit
FIT_ROUNDS = 4  # mean-shift steps


def slopes_between(min_speed: float, max_speed: float, *, spacing: float) -> Float64Array:
    """A geometric grid of speeds that contains exactly 1: forwards, then backwards (negative)."""
    below = np.arange(0, np.log(min_speed) - 1e-9, -spacing)[::-1]
    above = np.arange(spacing, np.log(max_speed) + 1e-9, spacing)
    forwards = np.exp(np.concatenate([below, above]))
    return np.concatenate([forwards, -forwards])


def slope_prior(slope: float) -> float:
    """Factor on a line's support, in (0,1]: most copies play forwards at speed 1."""
    backwards = REVERSED_PRIOR if slope < 0 else 1.0
    return backwards * (1.0 - SPEED_PRIOR * min(2.0, abs(math.log2(abs(slope)))))


def strongest_lines(
    peaks: Peaks,
    weights: Float64Array,
    query: Timeline,
    reference: Timeline,
    *,
    slopes: Float64Array,
    count: int,
) -> list[Line]:
    """At most `count` lines with the greatest sums of `weights` [P] of peaks on them, best first.

    A Hough transform: for each slope, a histogram of the peaks' offsets, in bins of one reference
    step. Offsets are measured at the middle of the query, where a slope error matters least.
    """
    center = query.duration_s / 2
    query_s = query.times_s[peaks.rows] - center
    reference_s = reference.times_s[peaks.columns]
    found: list[tuple[float, Line]] = []
    for slope in slopes.tolist():
        offsets = reference_s - slope * query_s
        for support, offset in _densest(offsets, weights, reference.step_s):
            line = Line(slope=slope, offset_s=offset - slope * center)
            found.append((support * slope_prior(slope), line))
    found.sort(key=lambda pair: -pair[0])
    return _distinct([line for _, line in found], query, reference, count)


def _densest(
    offsets: Float64Array, weights: Float64Array, width: float
) -> list[tuple[float, float]]:
    """The highest bins of the smoothed histogram, as (support, offset)."""
    low = float(offsets.min()) - 1.5 * width
    bins = ((offsets - low) / width).astype(np.int64)
    histogram = np.bincount(bins, weights, minlength=int(bins.max()) + 2)
    smooth = np.convolve(histogram, [0.5, 1.0, 0.5], mode="same")
    best = np.argsort(-smooth)[:LINES_PER_SLOPE]
    return [(float(smooth[k]), low + (float(k) + 0.5) * width) for k in best if smooth[k] > 0]


def _distinct(
    lines: Sequence[Line], query: Timeline, reference: Timeline, count: int
) -> list[Line]:
    """The first `count` lines, without those almost equal to an earlier one."""
    ends = np.array([0.0, query.duration_s])
    kept: list[Line] = []
    for line in lines:
        near = 2 * reference.step_s
        if all(np.abs(line.at(ends) - other.at(ends)).max() > near for other in kept):
            kept.append(line)
        if len(kept) == count:
            break
    return kept


def fit_line(
    line: Line, peaks: Peaks, weights: Float64Array, query: Timeline, reference: Timeline
) -> list[Line]:
    """Two lines fitted to the peaks near `line`: one with its slope, one with a free slope.

    Both are weighted least squares over a band along the line, repeated as the band moves with it
    (mean shift). The free slope is first fitted in a window around the densest part. The window
    doubles until it holds the whole query, so a small slope error cannot grow.
    """
    mass = weights * query.spans_s[peaks.rows]
    query_s = query.times_s[peaks.rows]
    reference_s = reference.times_s[peaks.columns]
    width = 1.5 * max(reference.step_s, abs(line.slope) * query.step_s)
    kept = line
    for _ in range(FIT_ROUNDS):
        kept = _shifted(kept, query_s, reference_s, mass, width, free_slope=False)
    fitted = kept
    center = _center(kept, query_s, reference_s, mass, width)
    window = FIRST_WINDOW_S
    while True:
        near = np.abs(query_s - center) <= window
        for _ in range(FIT_ROUNDS):
            fitted = _shifted(
                fitted, query_s[near], reference_s[near], mass[near], width, free_slope=True
            )
        if window >= query.duration_s:
            return [kept, fitted]
        window *= 2


def _band(
    line: Line,
    query_s: Float64Array,
    reference_s: Float64Array,
    mass: Float64Array,
    width: float,
) -> Float64Array:
    distance = np.abs(reference_s - line.at(query_s)) / width
    weights: Float64Array = mass * np.maximum(0.0, 1.0 - distance)
    return weights


def _center(
    line: Line,
    query_s: Float64Array,
    reference_s: Float64Array,
    mass: Float64Array,
    width: float,
) -> float:
    """The query second in the middle of the window with the greatest mass in the band."""
    weights = _band(line, query_s, reference_s, mass, width)
    bins = (query_s / FIRST_WINDOW_S).astype(np.int64)
    fullest = int(np.bincount(bins, weights).argmax())
    return (fullest + 0.5) * FIRST_WINDOW_S


def _shifted(
    line: Line,
    query_s: Float64Array,
    reference_s: Float64Array,
    mass: Float64Array,
    width: float,
    *,
    free_slope: bool,
) -> Line:
    """One step of weighted least squares of the residuals in the band."""
    weights = _band(line, query_s, reference_s, mass, width)
    total = float(weights.sum())
    if total <= 0:
        return line
    residuals = reference_s - line.at(query_s)
    query_mean = float(weights @ query_s) / total
    residual_mean = float(weights @ residuals) / total
    spread = query_s - query_mean
    variance = float(weights @ spread**2) / total
    # The added .5 s² damps slopes of peaks spread over less than about two seconds.
    turn = float(weights @ (spread * residuals)) / total / (variance + 0.5) if free_slope else 0.0
    slope = line.slope + turn
    if slope * line.slope <= 0:
        return line
    return Line(slope=slope, offset_s=line.offset_s + residual_mean - turn * query_mean)
