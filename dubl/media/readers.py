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
    """

    frames: Uint8Array
    timestamps_s: Float64Array
    missing: int
    errors: int


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
    """Collects rows of a plan. No other pictures are kept in memory."""

    def __init__(self, plan: SamplingPlan, *, side: int) -> None:
        self._plan = plan
        self._frames: Uint8Array = np.empty((len(plan), side, side, 3), dtype=np.uint8)
        self._times_s: Float64Array = np.empty(len(plan))
        self._count = 0

    def add(self, row: int, *, picture_time_s: float, picture: Uint8Array) -> None:
        """Stores `picture` as planned row `row`.

        A row with a time not later than the last row's has no picture of its own. It counts as
        missing.
        """
        planned_s, row_s = self._plan.picture_times_s[row], self._plan.row_times_s[row]
        time_s = max(row_s, picture_time_s) if row_s > planned_s else picture_time_s
        if self._count and time_s <= self._times_s[self._count - 1]:
            return
        self._frames[self._count] = picture
        self._times_s[self._count] = time_s
        self._count += 1

    def reading(self, *, errors: int) -> Reading:
        return Reading(
            frames=self._frames[: self._count],
            timestamps_s=self._times_s[: self._count],
            missing=len(self._plan) - self._count,
            errors=errors,
        )
