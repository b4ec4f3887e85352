"""The last correction of a line: its two ends are moved to where the matrix itself wants them."""

from __future__ import annotations

import numpy as np

from dubl.matching.peaks import Matrix
from dubl.matching.timeline import Line, Timeline
from dubl.types import Float64Array

REACHES = (2.0, 1.0, 0.5)
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
    *,
    free_slope: bool,
) -> Line:
    """The line through rows first..last with its ends moved by up to two reference steps.

    Sums the interpolated similarity along all lines of a 9 x 9 grid of end positions and takes
    the mean of the ends, weighted by exp(sum / 0.1 s): within still shots many lines do equally
    well, and the middle of those is the best guess. Without `free_slope` both ends move alike.
    """
    rows = np.unique(np.linspace(first, last, min(MAX_ROWS, last - first + 1)).astype(np.int64))
    times = query.times_s[rows]
    length = float(times[-1] - times[0])
    if length <= 0:
        return line
    seconds_per_row = float(query.spans_s[first : last + 1].sum()) / len(rows)
    share = (times - times[0]) / length
    ends = line.at(times[[0, -1]])
    for reach in REACHES:
        moves = GRID * reach * reference.step_s
        starts, stops = (
            (grid.ravel() for grid in np.meshgrid(moves, moves)) if free_slope else (moves, moves)
        )
        positions = (ends[0] + starts)[:, None] * (1 - share) + (ends[1] + stops)[:, None] * share
        sums = _interpolated(similarity, rows, positions, reference).sum(axis=1) * seconds_per_row
        weights = np.exp((sums - sums.max()) / TEMPERATURE_S)
        weights /= weights.sum()
        ends = ends + np.array([weights @ starts, weights @ stops])
    slope = float(ends[1] - ends[0]) / length
    if slope * line.slope <= 0:
        return line
    return Line(slope=slope, offset_s=float(ends[0]) - slope * float(times[0]))


def _interpolated(
    similarity: Matrix, rows: np.ndarray, positions_s: Float64Array, reference: Timeline
) -> Float64Array:
    """Similarity at each row [K] and each of the lines' positions [L,K], linear between frames."""
    last = len(reference.times_s) - 1
    columns = np.interp(positions_s, reference.times_s, np.arange(last + 1))
    low = np.floor(columns).astype(np.int64)
    share = columns - low
    left = similarity[rows, low].astype(np.float64)
    right = similarity[rows, np.minimum(low + 1, last)].astype(np.float64)
    values: Float64Array = left * (1 - share) + right * share
    return values
