"""The sampling plan: which pictures of a video are read, from all presentation times."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dubl.settings import MediaSettings
from dubl.types import Float64Array, Sampling

_CLOCK_S = 1e-3  # seconds; times are rounded to milliseconds in Matroska


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingPlan:
    """Rows to be read, in order of time.

    picture_times_s float64 [N]: presentation time of the wanted picture, from the first picture.
    row_times_s float64 [N]: the time of the row. It is later than the picture's time if the picture
    stays on screen for longer than half a sampling step (a slide, a frozen camera).
    step_s: seconds between target times. tolerance_s: seconds by which a picture may differ from
    the wanted one.
    """

    picture_times_s: Float64Array
    row_times_s: Float64Array
    step_s: float
    tolerance_s: float

    def __len__(self) -> int:
        return len(self.picture_times_s)

    def rest(self, first: int) -> SamplingPlan:
        """The plan from row `first` on."""
        return replace(
            self,
            picture_times_s=self.picture_times_s[first:],
            row_times_s=self.row_times_s[first:],
        )


def plan_rows(times_s: Float64Array, duration_s: float, *, sampling: Sampling) -> SamplingPlan:
    """Plans one row each 1 / rate_hz seconds, or `min_frames` evenly spread ones if that is more.

    times_s float64 [P]: presentation times of all pictures, ascending from 0. For each target time
    the picture on screen is taken, or its successor if that is nearer and at most half a step away.
    A picture is taken only once, unless it stays on screen. With `sampling.times_s`, the nearest
    picture is taken for each of these times.
    """
    if sampling.times_s:
        return _plan_times(times_s, np.array(sampling.times_s))
    regular_step_s = 1.0 / sampling.rate_hz
    count = max(1, int(np.ceil(duration_s * sampling.rate_hz - _CLOCK_S)))
    step_s = regular_step_s
    if count < sampling.min_frames:
        count, step_s = sampling.min_frames, duration_s / sampling.min_frames
    targets: Float64Array = np.arange(count, dtype=np.float64) * step_s
    picks = _picture_at(times_s, targets, step_s)
    held = targets - times_s[picks] > regular_step_s / 2
    kept = held | np.r_[True, np.diff(picks) > 0]
    picks, row_times = picks[kept], np.where(held, targets, times_s[picks])[kept]
    enough = min(sampling.min_frames, len(times_s))
    if len(picks) < enough:
        # Pictures bunched in time: spread over them by number instead.
        picks = np.arange(enough) * len(times_s) // enough
        row_times = times_s[picks]
    interval_s = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.0
    return SamplingPlan(
        picture_times_s=times_s[picks],
        row_times_s=row_times,
        step_s=step_s,
        tolerance_s=max(step_s / 2, 1.5 * interval_s, _CLOCK_S),
    )


def _plan_times(times_s: Float64Array, targets: Float64Array) -> SamplingPlan:
    """The nearest pictures, each only once: there may be fewer rows than targets."""
    following = np.clip(np.searchsorted(times_s, targets), 1, max(1, len(times_s) - 1))
    following = np.minimum(following, len(times_s) - 1)
    before = np.maximum(following - 1, 0)
    is_before = targets - times_s[before] <= times_s[following] - targets
    picks = np.unique(np.where(is_before, before, following))
    interval_s = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.0
    return SamplingPlan(
        picture_times_s=times_s[picks],
        row_times_s=times_s[picks],
        step_s=max(interval_s, _CLOCK_S),
        tolerance_s=max(interval_s / 2, _CLOCK_S),
    )


def _picture_at(
    times_s: Float64Array, targets: Float64Array, step_s: float
) -> np.ndarray[tuple[int, ...], np.dtype[np.intp]]:
    last = len(times_s) - 1
    shown = np.clip(np.searchsorted(times_s, targets + _CLOCK_S, side="right") - 1, 0, last)
    following = np.minimum(shown + 1, last)
    until_next = times_s[following] - targets
    takes_next = (until_next < targets - times_s[shown]) & (until_next <= step_s / 2)
    return np.where(takes_next, following, shown)


def max_rows(settings: MediaSettings, sampling: Sampling) -> int:
    """Number of frames of one video that are read at most."""
    frame_bytes = 3 * sampling.frame_size**2
    return max(1, sampling.min_frames, settings.frames_memory_bytes // frame_bytes)
