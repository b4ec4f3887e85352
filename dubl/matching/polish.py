"""Polishing: the two ends of a line are moved to the greatest similarity of the matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dubl.matching.peaks import IndexArray, Matrix
from dubl.matching.timeline import Line, Timeline
from dubl.types import Float64Array

# All values are chosen.
REACHES = (2.0, 1.0, 1.0, 0.5)  # reference steps, half width of the grid in each round
SLOPE_GAIN = 0.01  # share of the summed similarity that a free speed must gain over speed 1
SLOPE_GAIN_S = 0.05  # seconds of similarity that it must gain besides
DISTANCE_COST = 0.15  # similarity lost by a position one step away from a frame
GRID = np.linspace(-1.0, 1.0, 9)  # moves of one end, in reaches
TEMPERATURE_S = 0.1  # seconds of similarity, of the softmax over moves
MAX_ROWS = 400  # query rows read along a line; bounds the time


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
