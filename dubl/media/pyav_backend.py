"""Sequential decoding with PyAV (FFmpeg): any codec, any frame rate, damaged streams."""

from __future__ import annotations

from collections.abc import Iterator

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from dubl.errors import TruncatedVideo
from dubl.media.containers import open_container, video_stream
from dubl.media.deadline import Deadline
from dubl.media.pictures import Scaler
from dubl.media.probe import Probe
from dubl.media.readers import Reading, RowGatherer
from dubl.media.sampling import SamplingPlan
from dubl.settings import MediaSettings
from dubl.types import Sampling, Uint8Array

# Below this many pictures a row, the nearest reference picture may be too far from the target.
_LEAST_PICTURES_A_STEP = 8


class PyAvReader:
    """Decodes in order of storage. Where a sampling step holds many pictures, those that no other
    picture refers to are passed over (a third less work with B-frames), as long as all rows find
    a picture within half a step; else the file is read again in full."""

    name = "pyav"

    def __init__(self, settings: MediaSettings, *, skip_unreferenced: bool = True) -> None:
        self._settings = settings
        self._skip_unreferenced = skip_unreferenced

    def read(
        self,
        path: str,
        *,
        probe: Probe,
        plan: SamplingPlan,
        sampling: Sampling,
        deadline: Deadline,
    ) -> Reading:
        few = plan.step_s * probe.frame_rate_hz < _LEAST_PICTURES_A_STEP
        passes = [False] if few or not self._skip_unreferenced else [True, False]
        for skip in passes:
            reading = _Pass(self._settings, probe, plan, sampling, deadline).run(path, skip=skip)
            if not reading.missing:
                break
        if len(reading.frames) == 0:
            raise TruncatedVideo("no picture of the video can be decoded")
        return reading


class _Pass:
    """One reading of the file from its start to the last planned row."""

    def __init__(
        self,
        settings: MediaSettings,
        probe: Probe,
        plan: SamplingPlan,
        sampling: Sampling,
        deadline: Deadline,
    ) -> None:
        self._settings = settings
        self._interval_s = 1 / probe.frame_rate_hz
        self._plan = plan
        self._deadline = deadline
        self._scaler = Scaler(sampling=sampling, orientation=probe.orientation)
        self._gatherer = RowGatherer(plan, side=sampling.frame_size)
        self._row = 0
        self._errors = 0
        self._previous: tuple[float, VideoFrame] | None = None
        self._drawn: tuple[float, Uint8Array] | None = None

    def run(self, path: str, *, skip: bool) -> Reading:
        with open_container(path, settings=self._settings) as container:
            stream = video_stream(container)
            stream.codec_context.thread_count = self._settings.decode_threads
            stream.codec_context.skip_frame = "NONREF" if skip else "DEFAULT"
            for time_s, frame in self._timed(self._frames(container, stream)):
                self._offer(time_s, frame)
                if self._row == len(self._plan):
                    break
        while self._previous is not None and self._row < len(self._plan):
            self._serve(*self._previous)
        return self._gatherer.reading(errors=self._errors)

    def _frames(self, container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
        """All pictures that decode; those that do not are counted."""
        packets = container.demux(stream)
        while True:
            self._deadline.check()
            try:
                packet = next(packets, None)
            except av.error.FFmpegError:
                self._errors += 1
                return
            if packet is None:
                return
            try:
                yield from packet.decode()
            except av.error.FFmpegError:
                self._errors += 1

    def _timed(self, frames: Iterator[VideoFrame]) -> Iterator[tuple[float, VideoFrame]]:
        """Pictures with their time from the first one; times grow. Broken pictures are left out."""
        origin_s: float | None = None
        last_s = -self._interval_s
        for frame in frames:
            if origin_s is None:
                origin_s = frame.time or 0.0
            known_s = frame.time
            time_s = last_s + self._interval_s if known_s is None else known_s - origin_s
            if frame.is_corrupt:
                self._errors += 1
            elif time_s > last_s:
                last_s = time_s
                yield time_s, frame

    def _offer(self, time_s: float, frame: VideoFrame) -> None:
        """Serves the rows up to `time_s`, each with the nearer one of this and the last picture."""
        wanted = self._plan.picture_times_s
        while self._row < len(self._plan) and wanted[self._row] <= time_s:
            earlier = self._previous
            if earlier is not None and wanted[self._row] - earlier[0] < time_s - wanted[self._row]:
                self._serve(*earlier)
            else:
                self._serve(time_s, frame)
        self._previous = (time_s, frame)

    def _serve(self, time_s: float, frame: VideoFrame) -> None:
        row, self._row = self._row, self._row + 1
        if abs(time_s - self._plan.picture_times_s[row]) > self._plan.tolerance_s:
            return
        if self._drawn is None or self._drawn[0] != time_s:
            self._drawn = (time_s, self._scaler.draw(frame))
        self._gatherer.add(row, picture_time_s=time_s, picture=self._drawn[1])
