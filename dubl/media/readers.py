"""The interface of decoding backends, and the collection of planned rows that they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dubl.media.deadline import Deadline
from dubl.media.probe import Probe
from dubl.media.sampling import SamplingPlan
from dubl.types import Float64Array, Sampling, Uint8Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Rows that could be read.

    frames uint8 [N,S,S,3]; timestamps_s float64 [N], ascending. missing: planned rows without a
    picture near enough. errors: packets or pictures that could not be decoded.
    planned: rows of the plan that it covers.
    """

    frames: Uint8Array
    timestamps_s: Float64Array
    missing: int
    errors: int
    planned: int

    @classmethod
    def nothing(cls, side: int) -> Reading:
        """No rows."""
        frames: Uint8Array = np.empty((0, side, side, 3), dtype=np.uint8)
        return cls(frames=frames, timestamps_s=np.empty(0), missing=0, errors=0, planned=0)


class FrameReader(Protocol):
    """A decoding library."""

    @property
    def name(self) -> str: ...

    def read(
        self,
        path: str,
        *,
        probe: Probe,
        plan: SamplingPlan,
        sampling: Sampling,
        deadline: Deadline,
    ) -> Reading:
        """Reads the planned rows. Raises MediaError if nothing can be decoded, DecodeTimeout."""
        ...


class RowGatherer:
    """Collects rows of a plan in parts of `part_rows`. No other pictures are kept in memory."""

    def __init__(self, plan: SamplingPlan, *, side: int, part_rows: int = 0) -> None:
        self._plan = plan
        self._side = side
        self._part_rows = part_rows or len(plan)
        self._last_s = -np.inf
        self._start = 0
        self._begin()

    def _begin(self) -> None:
        self._planned = min(self._part_rows, len(self._plan) - self._start)
        shape = (self._planned, self._side, self._side, 3)
        self._frames: Uint8Array = np.empty(shape, dtype=np.uint8)
        self._times_s: Float64Array = np.empty(self._planned)
        self._count = 0

    def is_full(self, row: int) -> bool:
        """Whether `row`, the next one, belongs to a later part or to none."""
        return row >= self._start + self._planned

    def add(self, row: int, *, picture_time_s: float, picture: Uint8Array) -> None:
        """Stores `picture` as planned row `row`.

        A row with a time not later than the last row's has no picture of its own. It counts as
        missing.
        """
        planned_s, row_s = self._plan.picture_times_s[row], self._plan.row_times_s[row]
        time_s = max(row_s, picture_time_s) if row_s > planned_s else picture_time_s
        if time_s <= self._last_s:
            return
        self._last_s = time_s
        self._frames[self._count] = picture
        self._times_s[self._count] = time_s
        self._count += 1

    def reading(self, *, errors: int) -> Reading:
        """The rows of this part; the next part begins."""
        reading = Reading(
            frames=self._frames[: self._count],
            timestamps_s=self._times_s[: self._count],
            missing=self._planned - self._count,
            errors=errors,
            planned=self._planned,
        )
        self._start += self._planned
        self._begin()
        return reading
