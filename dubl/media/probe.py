"""Probing of a file: its headers, and one pass over its packets.

The pass costs a few percent of decoding. It gives the true presentation times of all pictures. The
sampling plan needs them, and they show a variable frame rate and the end of a cut file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from dubl.errors import (
    FrameTooLarge,
    NotAVideo,
    TruncatedVideo,
    UnsupportedCodec,
    VideoTooComplex,
    VideoTooLong,
    VideoTooShort,
)
from dubl.media.clock import Clock, clock_of
from dubl.media.containers import bounded, films, open_container, packets
from dubl.media.deadline import Deadline
from dubl.media.extent import is_complete
from dubl.media.listening import Listener
from dubl.media.pictures import Orientation, orientation_of
from dubl.settings import MediaSettings
from dubl.types import Float64Array, SoundClip

_DEFAULT_FRAME_RATE_HZ = 25.0  # for files that claim none; chosen
_CLOCK = re.compile(r"(\d+):(\d+):(\d+(?:\.\d*)?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Facts about a file.

    width, height: of the stored picture, in pixels. times_s float64 [P]: presentation times, from
    the first picture. key_times_s float64 [K]: those of key frames; empty if packets have none.
    origin_s: time of the first picture in the file. claimed_duration_s: by the header; 0: unknown
    or wrong.
    video_place: of the read stream among all video streams; further_places: those of further films
    in the file. clock: moves the times of packets to the presentation times. sound: None if there
    is none, or none was asked for.
    """

    container: str
    codec: str
    width: int
    height: int
    orientation: Orientation
    frame_rate_hz: float
    claimed_duration_s: float
    duration_s: float
    origin_s: float
    times_s: Float64Array
    key_times_s: Float64Array
    video_streams: int
    video_place: int
    further_places: tuple[int, ...]
    clock: Clock
    sound: SoundClip | None = None

    @property
    def shape(self) -> float:
        """Width over height of the upright picture."""
        shape = self.width / self.height
        return 1 / shape if self.orientation.transposed else shape

    @property
    def is_cut(self) -> bool:
        """Whether the pictures end clearly before the duration in the header."""
        missing_s = self.claimed_duration_s - self.duration_s
        return missing_s > max(0.5, 0.02 * self.claimed_duration_s)


def probe_file(
    path: str,
    *,
    settings: MediaSettings,
    deadline: Deadline,
    place: int | None = None,
    sound: bool = False,
) -> Probe:
    """Probes a file and checks all limits that need no decoding.

    place: of the video stream; None: the one that players show. sound: listens to the sound in the
    same pass.

    Raises MediaError (EmptyFile, NotAVideo, NoVideoStream, TruncatedVideo, UnsupportedCodec,
    VideoTooLong, VideoTooComplex, FrameTooLarge), DecodeTimeout.
    """
    with open_container(path) as container:
        if place is None:
            stream, further = films(container, settings=settings, deadline=deadline)
        else:
            stream, further = bounded(container.streams.video[place], settings), ()
        check_size(stream.codec_context.width, stream.codec_context.height, settings)
        claimed_s = _claimed_duration_s(container, stream)
        frame_rate_hz = float(stream.average_rate or stream.guessed_rate or _DEFAULT_FRAME_RATE_HZ)
        listener = Listener.of(container) if sound else None
        scan = _scan(container, stream, frame_rate_hz, deadline, settings.max_pictures, listener)
        check_length(scan.duration_s, settings)
        check_size(scan.first.width, scan.first.height, settings)
        return Probe(
            container=container.format.name,
            codec=stream.codec_context.codec.canonical_name,
            width=scan.first.width,
            height=scan.first.height,
            orientation=orientation_of(scan.first),
            frame_rate_hz=frame_rate_hz,
            # A header knows nothing of parts that were joined to it, and may be wrong.
            claimed_duration_s=0.0 if scan.clock.is_joined or is_complete(path) else claimed_s,
            duration_s=scan.duration_s,
            origin_s=scan.origin_s,
            times_s=scan.times_s,
            key_times_s=scan.key_times_s,
            video_streams=len(container.streams.video),
            video_place=container.streams.video.index(stream),
            further_places=further,
            clock=scan.clock,
            sound=None
            if listener is None
            else listener.clip(
                scan.clock,
                tick_s=_tick_s(stream),
                origin_s=scan.origin_s,
                max_s=settings.max_duration_s,
            ),
        )


def check_length(duration_s: float, settings: MediaSettings) -> None:
    """Raises VideoTooLong."""
    if duration_s > settings.max_duration_s:
        raise VideoTooLong(
            f"the video lasts {duration_s:.1f} s; media.max_duration_s allows "
            f"{settings.max_duration_s:g} s",
            context={"duration_s": round(duration_s, 3), "limit_s": settings.max_duration_s},
        )


def check_not_short(duration_s: float, settings: MediaSettings) -> None:
    """Raises VideoTooShort."""
    if duration_s < settings.min_duration_s:
        raise VideoTooShort(
            f"the video lasts {duration_s:.2f} s; media.min_duration_s requires "
            f"{settings.min_duration_s:g} s",
            context={"duration_s": round(duration_s, 3), "limit_s": settings.min_duration_s},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scan:
    first: VideoFrame
    origin_s: float
    times_s: Float64Array
    key_times_s: Float64Array
    duration_s: float
    clock: Clock


@dataclass(slots=True)
class _Packets:
    """Ticks of all packets of a stream, as the file has them."""

    decoding: list[int | None] = field(default_factory=list)
    shown: list[int] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)
    is_key: list[bool] = field(default_factory=list)
    is_shown: list[bool] = field(default_factory=list)
    fresh: set[int] = field(default_factory=set)  # numbers of packets that begin a joined file
    stream: VideoStream | None = None
    has_pts: bool = True

    def add(self, packet: Packet[VideoStream], usual: int) -> None:
        """`usual`: ticks of one picture."""
        following = self.shown[-1] + self.durations[-1] if self.shown else 0
        known = packet.dts if packet.pts is None else packet.pts
        if self.stream not in (None, packet.stream):
            self.fresh.add(len(self.shown))
        self.stream = packet.stream
        self.decoding.append(packet.dts)
        self.shown.append(following if known is None else known)
        self.durations.append(packet.duration or usual)
        self.is_key.append(packet.is_keyframe)
        self.is_shown.append(not packet.is_discard)
        self.has_pts = self.has_pts and packet.pts is not None


def _scan(
    container: InputContainer,
    stream: VideoStream,
    frame_rate_hz: float,
    deadline: Deadline,
    max_pictures: int,
    listener: Listener | None,
) -> _Scan:
    """Reads all packets, and decodes them up to the first picture; the listener hears its own."""
    tick_s = _tick_s(stream)
    usual = max(1, round(1 / (frame_rate_hz * tick_s)))
    found = _Packets()
    first: VideoFrame | None = None
    first_number = 0
    heard = () if listener is None else (listener.stream,)
    try:
        for packet in packets(container, stream, *heard):
            deadline.check()
            if listener is not None and packet.stream_index == listener.stream.index:
                listener.hear(packet, len(found.shown))
                continue
            if first is None:
                first, first_number = _first_picture(packet), len(found.shown)
            if packet.size:
                _check_count(len(found.shown) + 1, max_pictures)
                found.add(packet, usual)
    except av.error.FFmpegError as exc:
        if first is None:
            raise TruncatedVideo("the file ends before its first picture") from exc
    if not any(found.is_shown):
        raise TruncatedVideo("the file describes a video but holds no picture")
    if first is None:
        raise NotAVideo("no picture of the video could be decoded")
    clock = clock_of(
        found.decoding,
        found.shown,
        found.durations,
        tick_s=tick_s,
        container=container.format.name,
        fresh=found.fresh,
    )
    return _laid(found, clock, first, first_number, tick_s)


def _laid(
    found: _Packets, clock: Clock, first: VideoFrame, first_number: int, tick_s: float
) -> _Scan:
    """The times of all pictures; `first_number`: of the packet that gave the first picture."""
    shifts = clock.shifts_of(len(found.shown))
    times = (np.array(found.shown, np.int64) + shifts) * tick_s
    is_shown, is_key = np.array(found.is_shown), np.array(found.is_key)
    last = int(np.flatnonzero(is_shown)[-1])
    ordered = np.unique(times[is_shown])
    first_s = None if first.time is None else first.time + shifts[min(first_number, last)] * tick_s
    # Pictures before the first that decodes (an open group at the start) are never shown.
    origin_s = float(first_s) if found.has_pts and first_s is not None else float(ordered[0])
    usual_s = found.durations[last] * tick_s
    ordered = ordered[ordered > origin_s - usual_s / 2] - origin_s
    if len(ordered) == 0:
        raise NotAVideo("the video's pictures have invalid times")
    ordered[0] = 0.0
    return _Scan(
        first=first,
        origin_s=first_s or 0.0,
        times_s=ordered,
        key_times_s=np.unique(times[is_shown & is_key]) - origin_s
        if found.has_pts
        else np.empty(0),
        duration_s=float(ordered[-1]) + usual_s,
        clock=clock,
    )


def _tick_s(stream: VideoStream) -> float:
    return float(stream.time_base or Fraction(1, av.time_base))


def _check_count(pictures: int, limit: int) -> None:
    if pictures > limit:
        raise VideoTooComplex(
            f"the video has more pictures than media.max_pictures allows ({limit:,})",
            context={"limit_pictures": limit},
        )


def _first_picture(packet: av.Packet) -> VideoFrame | None:
    try:
        return next(iter(packet.decode()), None)
    except av.error.DecoderNotFoundError as exc:
        raise UnsupportedCodec("the video's codec has no decoder") from exc
    except av.error.NotImplementedError as exc:
        raise UnsupportedCodec("the decoder does not support this variant of the codec") from exc
    except av.error.FFmpegError:
        return None  # a damaged picture; a later one may do


def check_size(width: int, height: int, settings: MediaSettings) -> None:
    """Raises FrameTooLarge for a picture of more than `media.max_pixels`."""
    if width * height > settings.max_pixels:
        raise FrameTooLarge(
            f"the frame is {width}x{height} px; media.max_pixels allows {settings.max_pixels:,}",
            context={"width": width, "height": height, "limit_pixels": settings.max_pixels},
        )


def _claimed_duration_s(container: InputContainer, stream: VideoStream) -> float:
    """The duration of the video stream by the header; 0 if only that of all streams is known."""
    tick_s = stream.time_base or Fraction(1, av.time_base)
    if stream.duration:
        return float(stream.duration * tick_s)
    start_s = float((stream.start_time or 0) * tick_s)
    tag = _CLOCK.fullmatch(stream.metadata.get("DURATION", ""))  # Matroska
    if tag is not None:
        hours, minutes, seconds = (float(part) for part in tag.groups())
        return max(0.0, hours * 3600 + minutes * 60 + seconds - start_s)
    if len(container.streams) > 1 or not container.duration:
        return 0.0
    return max(0.0, float(container.duration / av.time_base) - start_s)
