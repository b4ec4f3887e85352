"""Decoding with decord, which addresses pictures by number. It is optional."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from dubl.errors import NotAVideo, TruncatedVideo
from dubl.media.containers import begins_like_video
from dubl.media.deadline import Deadline
from dubl.media.pictures import layout_for
from dubl.media.probe import Probe
from dubl.media.readers import Reading, RowGatherer
from dubl.media.sampling import SamplingPlan
from dubl.settings import MediaSettings
from dubl.types import Sampling

_CLOCK_S = 2e-3  # seconds by which decord's and FFmpeg's times may differ; chosen
_BATCH_ROWS = 32  # the deadline is looked at between batches


def decord_is_installed() -> bool:
    return importlib.util.find_spec("decord") is not None


class DecordReader:
    """Reads the planned pictures by their number, scaled (bilinear) by decord.

    decord cannot be restricted to a list of formats and could open a playlist. So it only gets
    files that begin like a video.
    """

    name = "decord"

    def __init__(self, settings: MediaSettings) -> None:
        self._threads = settings.decode_threads

    def read(
        self,
        path: str,
        *,
        probe: Probe,
        plan: SamplingPlan,
        sampling: Sampling,
        deadline: Deadline,
    ) -> Reading:
        """As FrameReader.read. Raises NotAVideo or TruncatedVideo if decord fails."""
        import decord

        if not begins_like_video(Path(path)):
            raise NotAVideo("the file does not begin like a format that decord may read")
        size = (probe.width, probe.height)
        layout = layout_for(
            *(size[::-1] if probe.orientation.transposed else size), sampling=sampling
        )
        gatherer = RowGatherer(plan, side=sampling.frame_size)
        try:
            video = decord.VideoReader(
                path, width=layout.width, height=layout.height, num_threads=self._threads
            )
            times_s = video.get_frame_timestamp(np.arange(len(video)))[:, 0].astype(np.float64)
        except (decord.DECORDError, RuntimeError, AssertionError) as exc:
            raise NotAVideo("decord cannot open the file") from exc
        times_s -= times_s.min()
        numbers = _nearest(times_s, plan)
        if np.any(np.abs(times_s[numbers] - plan.picture_times_s) > _CLOCK_S):
            raise NotAVideo("decord and FFmpeg read different times from the file")
        for start in range(0, len(plan), _BATCH_ROWS):
            deadline.check()
            batch = numbers[start : start + _BATCH_ROWS]
            try:
                pictures = video.get_batch(batch).asnumpy()
            except (decord.DECORDError, RuntimeError) as exc:
                raise TruncatedVideo("decord cannot decode the file to its end") from exc
            for place, picture in enumerate(pictures):
                time_s = float(times_s[batch[place]])
                gatherer.add(start + place, picture_time_s=time_s, picture=layout.cut(picture))
        return gatherer.reading(errors=0)


def _nearest(times_s: np.ndarray, plan: SamplingPlan) -> np.ndarray:
    """Numbers of the pictures nearest to the planned times, int64 [N]."""
    after = np.clip(np.searchsorted(times_s, plan.picture_times_s), 1, max(1, len(times_s) - 1))
    after = np.minimum(after, len(times_s) - 1)
    before = np.maximum(after - 1, 0)
    nearer = plan.picture_times_s - times_s[before] <= times_s[after] - plan.picture_times_s
    return np.where(nearer, before, after)
