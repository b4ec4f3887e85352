"""Lines through the peaks: a Hough transform, a local fit, and a final polish of both ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dubl.matching.peaks import IndexArray, Matrix, Peaks
from dubl.matching.timeline import Line, Timeline
from dubl.types import Float64Array

# All values are chosen.
LINES_PER_SLOPE = 3  # highest bins of one slope's histogram
REVERSED_PRIOR = 0.85  # factor on the support of a reversed line
SPEED_PRIOR = 0.1  # share of support lost for each doubling or halving of speed
FIRST_WINDOW_S = 20.0  # seconds of the query, half of the first window of the fit
FIT_ROUNDS = 4  # mean-shift steps
# Of the polish.
REACHES = (2.0, 1.0, 1.0, 0.5)  # reference steps, half width of the grid in each round
SLOPE_GAIN = 0.01  # share of the summed similarity that a free speed must gain over speed 1
SLOPE_GAIN_S = 0.05  # seconds of similarity that it must gain besides
DISTANCE_COST = 0.15  # similarity lost by a position one step away from a frame
GRID = np.linspace(-1.0, 1.0, 9)  # moves of one end, in reaches
TEMPERATURE_S = 0.1  # seconds of similarity, of the softmax over moves
MAX_ROWS = 400  # query rows read along a line; bounds the time


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
    chosen: list[Line] = []
    for line in lines:
        near = 2 * reference.step_s
        if all(np.abs(line.at(ends) - other.at(ends)).max() > near for other in chosen):
            chosen.append(line)
        if len(chosen) == count:
            break
    return chosen


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
    shifted = line
    for _ in range(FIT_ROUNDS):
        shifted = _shifted(shifted, query_s, reference_s, mass, width, free_slope=False)
    fitted = shifted
    center = _center(shifted, query_s, reference_s, mass, width)
    window = FIRST_WINDOW_S
    while True:
        near = np.abs(query_s - center) <= window
        for _ in range(FIT_ROUNDS):
            fitted = _shifted(
                fitted, query_s[near], reference_s[near], mass[near], width, free_slope=True
            )
        if window >= query.duration_s:
            return [shifted, fitted]
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


def polish_line(
    line: Line,
    first: int,
    last: int,
    similarity: Matrix,
    query: Timeline,
    reference: Timeline,
) -> Line:
    """The line through rows first..last, corrected by at most a few reference steps.

    Speed 1 is kept unless a free speed gains clearly more similarity.
    """
    rows = np.unique(np.linspace(first, last, min(MAX_ROWS, last - first + 1)).astype(np.int64))
    times = query.times_s[rows]
    if times[-1] <= times[0]:
        return line
    weight_s = float(query.spans_s[first : last + 1].sum()) / len(rows)
    sums = _Sums(
        similarity=similarity, rows=rows, times_s=times, reference=reference, weight_s=weight_s
    )
    free = sums.climb(line.at(times[[0, -1]]), free_slope=True)
    best = Line.through(times[0], free[0], times[-1], free[1])
    if best.slope <= 0 or line.slope <= 0:
        return best if best.slope * line.slope > 0 else line
    middle = (free[0] + free[1]) / 2
    half = (times[-1] - times[0]) / 2
    own = sums.climb(np.array([middle - half, middle + half]), free_slope=False)
    gain = float((sums.along(free) - sums.along(own))[0])
    if gain > SLOPE_GAIN_S + SLOPE_GAIN * float(sums.along(own)[0]):
        return best
    return Line(slope=1.0, offset_s=float(own[0] - times[0]))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sums:
    """Similarity summed along lines, which are given by their positions at first and last row.

    Each of the rows [K] weighs `weight_s` seconds.
    """

    similarity: Matrix
    rows: IndexArray
    times_s: Float64Array
    reference: Timeline
    weight_s: float

    def along(self, ends: Float64Array) -> Float64Array:
        """Sums [L], in seconds of similarity, for ends [L,2] or [2]."""
        ends = np.atleast_2d(ends)
        share = (self.times_s - self.times_s[0]) / (self.times_s[-1] - self.times_s[0])
        positions = ends[:, :1] * (1 - share) + ends[:, 1:] * share
        values = _between_frames(self.similarity, self.rows, positions, self.reference)
        sums: Float64Array = values.sum(axis=1) * self.weight_s
        return sums

    def climb(self, ends: Float64Array, *, free_slope: bool) -> Float64Array:
        """Moves the ends [2] to the best place in ever smaller grids.

        The move is the mean of all grid moves weighted by exp(sum / TEMPERATURE_S). Within still
        shots many lines are equally good, and their middle is the best guess.
        """
        for reach in REACHES:
            moves = GRID * reach * self.reference.step_s
            if free_slope:
                pairs = np.stack(np.meshgrid(moves, moves), axis=-1).reshape(-1, 2)
            else:
                pairs = np.stack([moves, moves], axis=-1)
            sums = self.along(ends + pairs)
            weights = np.exp((sums - sums.max()) / TEMPERATURE_S)
            ends = ends + weights @ pairs / weights.sum()
        return ends


def _between_frames(
    similarity: Matrix, rows: IndexArray, positions_s: Float64Array, reference: Timeline
) -> Float64Array:
    """Similarity [L,K] at rows [K] and positions [L,K].

    The better of the two frames around a position counts, minus DISTANCE_COST for its distance. A
    mean of both would punish the true line at every cut.
    """
    last = len(reference.times_s) - 1
    columns = np.interp(positions_s, reference.times_s, np.arange(last + 1))
    low = np.floor(columns).astype(np.int64)
    share = columns - low
    left = similarity[rows, low].astype(np.float64) - DISTANCE_COST * share
    right = similarity[rows, np.minimum(low + 1, last)] - DISTANCE_COST * (1 - share)
    values: Float64Array = np.maximum(left, right)
    return values
