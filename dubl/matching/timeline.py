"""The two time axes of a similarity matrix, and straight lines across it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dubl.types import Float64Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """reference second = slope · query second + offset_s; a negative slope is a reversed copy."""

    slope: float
    offset_s: float

    @classmethod
    def through(cls, query_s: float, reference_s: float, to_query_s: float, to_s: float) -> Line:
        """The line from (query_s, reference_s) to (to_query_s, to_s)."""
        slope = (to_s - reference_s) / (to_query_s - query_s)
        return cls(slope=slope, offset_s=reference_s - slope * query_s)

    def at(self, query_times_s: Float64Array) -> Float64Array:
        return self.slope * query_times_s + self.offset_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Frame times of one video, ascending [N], and the seconds that each frame covers [N].

    A frame covers the time up to the middles between it and its neighbors. Times may be uneven;
    `step_s` is their median distance.
    """

    times_s: Float64Array
    spans_s: Float64Array
    duration_s: float
    step_s: float

    @classmethod
    def of(cls, times_s: Float64Array, duration_s: float) -> Timeline:
        times = np.asarray(times_s, dtype=np.float64)
        duration = max(duration_s, float(times[-1]))
        borders = np.concatenate([[0.0], (times[1:] + times[:-1]) / 2, [duration]])
        step = float(np.median(np.diff(times))) if len(times) > 1 else duration
        return cls(
            times_s=times,
            spans_s=np.diff(borders),
            duration_s=duration,
            step_s=max(step, 1e-3),
        )


def stretch_end(
    line: Line, row: int, beyond: int, query: Timeline, reference: Timeline
) -> tuple[float, float]:
    """One end of a stretch of `line`, as (query second, reference second).

    `row` is the last row of the stretch on that side, `beyond` the row after it. The end lies
    half-way between them, or where the line leaves the reference, if that comes first. Without a
    row beyond, the stretch continues to the end of the query.
    """
    borders = np.concatenate([[0.0], np.cumsum(query.spans_s)])
    second = float(borders[max(row, beyond)])
    if 0 <= beyond < len(query.times_s):
        outside = float(line.at(query.times_s[beyond]))
        edge = min(max(outside, 0.0), reference.duration_s)
        if edge != outside:
            low, high = sorted((float(query.times_s[row]), float(query.times_s[beyond])))
            second = min(max((edge - line.offset_s) / line.slope, low), high)
            return second, edge
    at = float(line.slope * second + line.offset_s)
    return second, min(max(at, 0.0), reference.duration_s)
