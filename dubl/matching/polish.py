"""The last correction of a line: its two ends are moved to where the matrix itself wants them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dubl.matching.peaks import IndexArray, Matrix
from dubl.matching.timeline import Line, Timeline
from dubl.types import Float64Array

REACHES = (2.0, 1.0, 1.0, 0.5)
SLOPE_GAIN = 0.01
SLOPE_GAIN_S = 0.05
DISTANCE_COST = 0.15
GRID = np.linspace(-1.0, 1.0, 9)
TEMPERATURE_S = 0.1
MAX_ROWS = 400


def polish_line(
    line: Line,
    first: int,
    last: int,
    similarity: Matrix,
    query: Timeline,
    reference: Timeline,
) -> Line:
    """The line through rows first..last, corrected within a few reference steps.

    Speed 1 is kept where a free speed gains next to nothing in similarity.
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
    """Similarity summed along lines given by their positions [..., 2] at first and last row.

    Each of the rows [K] stands for `weight_s` seconds.
    """

    similarity: Matrix
    rows: IndexArray
    times_s: Float64Array
    reference: Timeline
    weight_s: float

    def along(self, ends: Float64Array) -> Float64Array:
        """Sums [L] for ends [L,2] or [2]."""
        ends = np.atleast_2d(ends)
        share = (self.times_s - self.times_s[0]) / (self.times_s[-1] - self.times_s[0])
        positions = ends[:, :1] * (1 - share) + ends[:, 1:] * share
        values = _between_frames(self.similarity, self.rows, positions, self.reference)
        sums: Float64Array = values.sum(axis=1) * self.weight_s
        return sums

    def climb(self, ends: Float64Array, *, free_slope: bool) -> Float64Array:
        """Moves the ends [2] to the middle of the best neighborhood, in ever smaller grids.

        The weighted mean of all moves, by exp(sum / 0.1 s): within still shots many lines do
        equally well, and the middle of those is the best guess.
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
    """Similarity at each row [K] and each of the lines' positions [L,K].

    The better of the two frames about a position, less a little for its distance: a mean of the
    two would punish the true line wherever a cut lies between them.
    """
    last = len(reference.times_s) - 1
    columns = np.interp(positions_s, reference.times_s, np.arange(last + 1))
    low = np.floor(columns).astype(np.int64)
    share = columns - low
    left = similarity[rows, low].astype(np.float64) - DISTANCE_COST * share
    right = similarity[rows, np.minimum(low + 1, last)] - DISTANCE_COST * (1 - share)
    values: Float64Array = np.maximum(left, right)
    return values
