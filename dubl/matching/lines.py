"""Search of straight lines among the peaks: a Hough transform, then a local fit."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dubl.matching.peaks import Peaks
from dubl.matching.timeline import Line, Timeline
from dubl.types import Float64Array

CANDIDATES_PER_SLOPE = 3
REVERSED_PRIOR = 0.85
SPEED_PRIOR = 0.1
FIRST_WINDOW_S = 20.0
FIT_ROUNDS = 4


def slopes_between(min_speed: float, max_speed: float, *, spacing: float) -> Float64Array:
    """A geometric grid through exactly 1, forwards and then backwards."""
    below = np.arange(0, np.log(min_speed) - 1e-9, -spacing)[::-1]
    above = np.arange(spacing, np.log(max_speed) + 1e-9, spacing)
    forwards = np.exp(np.concatenate([below, above]))
    return np.concatenate([forwards, -forwards])


def slope_prior(slope: float) -> float:
    """What a line's support is multiplied with, in (0,1]: most copies play at their own speed."""
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
    """At most `count` lines with the greatest sums of `weights` [P] beside them, best first.

    For each slope, a histogram of the offsets of all peaks, one reference step wide; offsets are
    taken at the middle of the query, where an error of the slope hurts least.
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
    best = np.argsort(-smooth)[:CANDIDATES_PER_SLOPE]
    return [(float(smooth[k]), low + (float(k) + 0.5) * width) for k in best if smooth[k] > 0]


def _distinct(
    lines: Sequence[Line], query: Timeline, reference: Timeline, count: int
) -> list[Line]:
    """The first `count` lines that are not almost the same as an earlier one."""
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
    """The line moved onto the peaks beside it, with its slope kept and with its slope fitted.

    Both are weighted least squares over a band along the line, repeated as the band moves with
    it (mean shift); the fitted slope starts from a window about the densest part, which doubles
    until it holds the whole query, so that an inexact slope is corrected before it drifts away.
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
    """The query second about which a window of FIRST_WINDOW_S holds most of the band's mass."""
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
    # A spread of less than about two seconds says nothing of the speed.
    turn = float(weights @ (spread * residuals)) / total / (variance + 0.5) if free_slope else 0.0
    slope = line.slope + turn
    if slope * line.slope <= 0:
        return line
    return Line(slope=slope, offset_s=line.offset_s + residual_mean - turn * query_mean)
