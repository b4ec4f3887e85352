"""Sequential decoding with PyAV (FFmpeg): any codec, any frame rate, damaged streams."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from dubl.errors import TruncatedVideo
from dubl.media.blanks import is_blank
from dubl.media.containers import bounded, open_container, packets
from dubl.media.deadline import Deadline
from dubl.media.flashes import BEFORE, MIN_DIFFERENCE, Glimpser, difference
from dubl.media.groups import GroupSkipper, Step
from dubl.media.pictures import Scaler
from dubl.media.probe import Probe
from dubl.media.readers import Reading, RowGatherer
from dubl.media.sampling import SamplingPlan
from dubl.settings import MediaSettings
from dubl.types import Float32Array, Sampling, Uint8Array

# Pictures per sampling step; chosen. With fewer, skipping non-reference pictures loses accuracy.
_MIN_PICTURES_A_STEP = 8
_CLOCK_S = 1e-3  # seconds; times are rounded to milliseconds in Matroska
_TRIES_A_STEP = 8  # pictures that may stand in for a blank one; chosen, bounds the time
_MAX_IN_VAIN = 4  # blank rows in succession; then none stands in, which bounds the time; chosen


class PyAvReader:
    """Decodes in the order of the file.

    The first pass is sparing: it skips groups without wanted pictures and, if a sampling step holds
    many pictures, those that no other refers to. Each row must get a picture within a quarter of a
    step. If one does not, or a picture is damaged, a second pass reads the whole file.

    For a blank picture, and for one that flashes up, a later one stands in, up to a quarter of a
    step before the next row. In a long pause none does.
    """

    name = "pyav"

    def __init__(self, settings: MediaSettings, *, sparingly: bool = True) -> None:
        self._settings = settings
        self._sparingly = sparingly

    def read(
        self,
        path: str,
        *,
        probe: Probe,
        plan: SamplingPlan,
        sampling: Sampling,
        deadline: Deadline,
    ) -> Reading:
        whole = replace(sampling, part_rows=0)
        (reading,) = self.parts(path, probe=probe, plan=plan, sampling=whole, deadline=deadline)
        return reading

    def parts(
        self,
        path: str,
        *,
        probe: Probe,
        plan: SamplingPlan,
        sampling: Sampling,
        deadline: Deadline,
    ) -> Iterator[Reading]:
        """As `read`, in parts of `sampling.part_rows` planned rows. A part may be empty."""
        done = found = 0
        for sparingly in (True, False) if self._sparingly else (False,):
            rest = plan.rest(done)
            one = _Pass(self._settings, probe, rest, sampling, deadline, sparingly=sparingly)
            for reading in one.run(path):
                if sparingly and (reading.missing or reading.errors):
                    break  # the second pass reads this part again
                done += reading.planned
                found += len(reading.frames)
                yield reading
            if done == len(plan):
                break
            del one, reading  # before there is memory for the second pass
        if not found:
            raise TruncatedVideo("no picture of the video could be decoded")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """A picture of a row that is blank, or unlike the one before it: a flash or a cut.

    A picture from next_s to until_s may stand in for it. before: glimpse of the picture before an
    unlike one; it is like one that differs by less than `least` from it.
    """

    row: int
    time_s: float
    picture: Uint8Array
    next_s: float
    until_s: float
    before: Float32Array | None = None
    least: float = 0.0

    @classmethod
    def of(cls, row: int, time_s: float, picture: Uint8Array, plan: SamplingPlan) -> _Held:
        following = plan.picture_times_s[row + 1 : row + 2].tolist() or [time_s + plan.step_s]
        until_s = following[0] - plan.step_s / 4
        return cls(row=row, time_s=time_s, picture=picture, next_s=time_s, until_s=until_s)


class _Pass:
    """One reading of the file from its start to the last planned row."""

    def __init__(
        self,
        settings: MediaSettings,
        probe: Probe,
        plan: SamplingPlan,
        sampling: Sampling,
        deadline: Deadline,
        *,
        sparingly: bool,
    ) -> None:
        many = plan.step_s * probe.frame_rate_hz >= _MIN_PICTURES_A_STEP
        self._settings = settings
        self._interval_s = 1 / probe.frame_rate_hz
        self._origin_s = probe.origin_s
        self._clock = probe.clock
        self._place = probe.video_place
        self._skip_frame: Literal["NONREF", "DEFAULT"] = (
            "NONREF" if sparingly and many else "DEFAULT"
        )
        self._replaces = not sampling.times_s
        self._before_s = plan.picture_times_s - (BEFORE * plan.step_s if self._replaces else 0.0)
        self._skipper = GroupSkipper(
            np.maximum(self._before_s, 0.0), probe.key_times_s if sparingly else np.empty(0)
        )
        self._glimpser = Glimpser()
        self._before: VideoFrame | None = None
        self._sparingly = sparingly
        self._restart_s: float | None = None
        self._tolerance_s = plan.step_s / 4 if sparingly and many else plan.tolerance_s
        self._plan = plan
        self._deadline = deadline
        self._scaler = Scaler(sampling=sampling, orientation=probe.orientation)
        self._gatherer = RowGatherer(plan, side=sampling.frame_size, part_rows=sampling.part_rows)
        self._row = 0
        self._given = 0  # rows of the parts that were given out
        self._errors = 0
        self._previous: tuple[float, VideoFrame] | None = None
        self._drawn: tuple[float, Uint8Array] | None = None
        self._held: _Held | None = None
        self._in_vain = 0

    def run(self, path: str) -> Iterator[Reading]:
        """All parts of the plan."""
        with open_container(path) as container:
            stream = bounded(container.streams.video[self._place], self._settings)
            stream.codec_context.skip_frame = self._skip_frame
            for time_s, frame in self._timed(self._frames(container, stream)):
                yield from self._offer(time_s, frame)
                if self._row == len(self._plan) and self._held is None:
                    break
        while self._previous is not None and self._row < len(self._plan):
            yield from self._served(*self._previous)
        self._keep_held()
        while self._given < len(self._plan):
            yield self._part()

    def _part(self) -> Reading:
        reading = self._gatherer.reading(errors=self._errors)
        self._given += reading.planned
        self._errors = 0
        return reading

    def _frames(self, container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
        """All pictures that can be decoded; errors are counted."""
        following = self._clock.laid(packets(container, stream))
        while True:
            self._deadline.check()
            try:
                packet = next(following, None)
            except av.error.FFmpegError:
                self._errors += 1
                return
            if packet is None:
                return
            if not self._is_needed(packet):
                continue
            try:
                yield from packet.decode()
            except av.error.FFmpegError:
                self._errors += 1
            if self._errors and self._sparingly:
                return  # the full pass follows

    def _is_needed(self, packet: Packet[VideoStream]) -> bool:
        if packet.pts is None or packet.time_base is None:
            return True
        time_s = float(packet.pts * packet.time_base) - self._origin_s
        row = self._row if self._held is None else self._held.row
        step = self._skipper.step(row, time_s=time_s, is_key=packet.is_keyframe)
        if step is Step.RESTART:
            packet.stream.codec_context.flush_buffers()
            self._restart_s, self._previous, self._before = time_s, None, None
        return step is not Step.DROP

    def _timed(self, frames: Iterator[VideoFrame]) -> Iterator[tuple[float, VideoFrame]]:
        """Pictures with ascending times, in seconds from the first one, without damaged ones."""
        last_s = -self._interval_s
        for frame in frames:
            known_s = frame.time
            time_s = last_s + self._interval_s if known_s is None else known_s - self._origin_s
            if self._restart_s is not None:
                if time_s < self._restart_s - _CLOCK_S:
                    continue  # refers to the group before, which was skipped
                self._restart_s = None
                if frame.pict_type != PictureType.I:
                    self._errors += 1  # marked as a key frame, but is none
            if frame.is_corrupt:
                self._errors += 1
            elif time_s > last_s:
                last_s = time_s
                yield time_s, frame

    def _offer(self, time_s: float, frame: VideoFrame) -> Iterator[Reading]:
        """Fills the rows up to `time_s`, each with the nearer one of this and the last picture."""
        wanted = self._plan.picture_times_s
        while self._row < len(self._plan) and wanted[self._row] <= time_s + _CLOCK_S:
            earlier = self._previous
            if earlier is not None and wanted[self._row] - earlier[0] < time_s - wanted[self._row]:
                yield from self._served(*earlier)
            else:
                yield from self._served(time_s, frame)
        self._replace_held(time_s, frame)
        self._previous = (time_s, frame)
        if self._row < len(self._plan) and time_s <= self._before_s[self._row] + _CLOCK_S:
            self._before = frame

    def _served(self, time_s: float, frame: VideoFrame) -> Iterator[Reading]:
        """Gives the next row this picture; yields the part before it, if that is over."""
        if self._gatherer.is_full(self._row):
            self._keep_held()
            yield self._part()
        self._serve(time_s, frame)

    def _serve(self, time_s: float, frame: VideoFrame) -> None:
        self._keep_held()
        row, self._row = self._row, self._row + 1
        if abs(time_s - self._plan.picture_times_s[row]) > self._tolerance_s:
            return
        if self._drawn is None or self._drawn[0] != time_s:
            self._drawn = (time_s, self._scaler.draw(frame))
        if self._replaces and is_blank(self._drawn[1]):
            self._held = _Held.of(row, *self._drawn, self._plan)
            if self._in_vain >= _MAX_IN_VAIN:
                self._keep_held()
            return
        self._in_vain = 0
        self._held = self._unlike(row, frame, *self._drawn)
        if self._held is None:
            self._gatherer.add(row, picture_time_s=time_s, picture=self._drawn[1])

    def _unlike(
        self, row: int, frame: VideoFrame, time_s: float, picture: Uint8Array
    ) -> _Held | None:
        """The picture as one to be held, if it is unlike the one before it."""
        before, self._before = self._before, None
        if before is None:
            return None
        glimpse = self._glimpser.glimpse(before)
        found = difference(glimpse, self._glimpser.glimpse(frame))
        if found < MIN_DIFFERENCE:
            return None
        held = _Held.of(row, time_s, picture, self._plan)
        soon_s = self._plan.picture_times_s[row] + self._plan.step_s / 2
        return replace(held, until_s=min(held.until_s, soon_s), before=glimpse, least=found / 2)

    def _replace_held(self, time_s: float, frame: VideoFrame) -> None:
        """Takes this picture for the last row if that has one that is held."""
        held = self._held
        if held is None or time_s < held.next_s:
            return
        if time_s > held.until_s:
            self._keep_held()
            return
        if held.before is not None and (
            difference(held.before, self._glimpser.glimpse(frame)) >= held.least
        ):
            return
        picture = self._scaler.draw(frame)
        if is_blank(picture):
            self._held = replace(held, next_s=time_s + self._plan.step_s / _TRIES_A_STEP)
        else:
            self._gatherer.add(held.row, picture_time_s=time_s, picture=picture)
            self._held, self._in_vain = None, 0

    def _keep_held(self) -> None:
        """Adds the held picture, for which none stood in."""
        held, self._held = self._held, None
        if held is not None:
            self._in_vain += held.before is None
            self._gatherer.add(held.row, picture_time_s=held.time_s, picture=held.picture)
