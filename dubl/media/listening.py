"""Listening to a file's sound while its packets are read for the probe."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import av
import numpy as np
from av.audio.frame import AudioFrame, format_dtypes
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition

from dubl.media.bands import BANDS, SAMPLE_RATE_HZ, STEP_S, BandMaker
from dubl.media.clock import Clock
from dubl.types import SoundClip, Uint8Array

# Rates of sound that are heard, in Hz. Below there is nothing to describe; above filters get huge.
_MIN_RATE_HZ, _MAX_RATE_HZ = 2000, 768_000
_JUMP_S = 0.06  # a time stamp further from the counted samples starts a new run; chosen
_JOINED = 32  # frames that are resampled as one: the calls cost more than the samples
_DAMAGED = (av.error.FFmpegError, ValueError, MemoryError)  # or of a kind that cannot be resampled


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """Sound without a gap.

    start_s: by the file's clock. pictures: number of the video packets that were read before the
    middle of the run.
    """

    start_s: float
    pictures: int
    bands: Uint8Array


class _OpenRun:
    """A run that goes on."""

    def __init__(self, *, start_s: float, pictures: int) -> None:
        self._resampler = AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE_HZ)
        self._maker = BandMaker()
        self._start_s = self.end_s = start_s
        self._pictures = (pictures, pictures)
        self._held: list[AudioFrame] = []

    def add(self, frame: AudioFrame, pictures: int) -> None:
        """Raises ValueError if the frame's format differs from that of the frames before."""
        if self._held and _form(frame) != _form(self._held[-1]):
            raise ValueError("the frame's format differs")
        self._held.append(frame)
        if len(self._held) == _JOINED:
            self._resample_held()
        # Counted by the input: the resampler holds some samples back.
        self.end_s += frame.samples / frame.sample_rate
        self._pictures = (self._pictures[0], pictures)

    def ended(self) -> _Run:
        self._resample_held()
        self._resample(None)
        return _Run(
            start_s=self._start_s, pictures=sum(self._pictures) // 2, bands=self._maker.finish()
        )

    def _resample_held(self) -> None:
        held, self._held = self._held, []
        for frame in _as_one(held):
            self._resample(frame)

    def _resample(self, frame: AudioFrame | None) -> None:
        for part in self._resampler.resample(frame):
            samples = np.nan_to_num(part.to_ndarray()[0], posinf=0.0, neginf=0.0)
            self._maker.add(np.clip(samples, -1, 1))


class Listener:
    """Turns packets of one audio stream into a SoundClip. Damaged packets are left out.

    Time stamps count, not samples: gaps stay, and a drift between sound and picture is followed.
    """

    def __init__(self, stream: AudioStream) -> None:
        self.stream = stream
        stream.codec_context.thread_count = 1
        self._runs: list[_Run] = []
        self._open: _OpenRun | None = None

    @classmethod
    def of(cls, container: InputContainer) -> Listener | None:
        """A listener to the track that players play: the default, then the one with the most
        channels, then the first. None without a track that can be decoded."""
        tracks = [one for one in container.streams.audio if one.codec_context is not None]
        return cls(max(tracks, key=_rank)) if tracks else None

    def hear(self, packet: Packet[AudioStream], pictures: int) -> None:
        """`pictures`: number of the video packets that were read before it."""
        try:
            for frame in packet.decode():
                self._add(frame, pictures)
        except _DAMAGED:
            self._end_run()

    def clip(
        self, clock: Clock, *, tick_s: float, origin_s: float, max_s: float
    ) -> SoundClip | None:
        """The sound from the first picture on, gaps filled with silence. None if none was heard.

        clock, tick_s, origin_s: of the video stream. max_s: later sound is left out.
        """
        self._end_run()
        place = partial(_place, clock=clock, tick_s=tick_s, origin_s=origin_s)
        limit = int(max_s / STEP_S)
        laid = [(place(run), run.bands) for run in self._runs]
        laid = [(at, bands) for at, bands in laid if -len(bands) < at < limit]
        if not laid:
            return None
        count = min(limit, max(at + len(bands) for at, bands in laid))
        whole = np.zeros((count, BANDS), np.uint8)
        for at, bands in laid:
            shown = bands[max(0, -at) : count - at]
            whole[max(0, at) : max(0, at) + len(shown)] = shown
        return SoundClip(bands=whole, step_s=STEP_S, start_s=0.0)

    def _add(self, frame: AudioFrame, pictures: int) -> None:
        if not _MIN_RATE_HZ <= frame.sample_rate <= _MAX_RATE_HZ:
            return
        run = self._open
        if run is None or (frame.time is not None and abs(frame.time - run.end_s) > _JUMP_S):
            run = self._begin(frame, run, pictures)
        try:
            run.add(frame, pictures)
        except ValueError:  # the format changed
            self._begin(frame, run, pictures).add(frame, pictures)

    def _begin(self, frame: AudioFrame, before: _OpenRun | None, pictures: int) -> _OpenRun:
        known_s = 0.0 if before is None else before.end_s
        self._end_run()
        start_s = known_s if frame.time is None else frame.time
        self._open = _OpenRun(start_s=start_s, pictures=pictures)
        return self._open

    def _end_run(self) -> None:
        run, self._open = self._open, None
        if run is not None:
            with suppress(*_DAMAGED):
                self._runs.append(run.ended())


def _form(frame: AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def _as_one(frames: list[AudioFrame]) -> list[AudioFrame]:
    """Frames of one format, joined; as they are where arrays do not hold their format."""
    if len(frames) < 2 or frames[0].format.name not in format_dtypes:
        return frames
    samples = np.concatenate([one.to_ndarray() for one in frames], axis=1)
    first = frames[0]
    joined = AudioFrame.from_ndarray(samples, format=first.format.name, layout=first.layout)
    joined.sample_rate, joined.pts, joined.time_base = first.sample_rate, first.pts, first.time_base
    return [joined]


def _rank(track: AudioStream) -> tuple[bool, int]:
    return bool(track.disposition & Disposition.default), track.codec_context.channels


def _place(run: _Run, *, clock: Clock, tick_s: float, origin_s: float) -> int:
    """Number of the row at which the run starts, from the first picture on."""
    part = int(np.searchsorted(clock.starts, run.pictures, side="right")) - 1
    seconds = run.start_s + clock.shifts[max(0, part)] * tick_s - origin_s
    return round(seconds / STEP_S)
