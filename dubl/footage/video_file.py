"""Videos as streams of timed RGB frames: read one, write one (PyAV).

Frames pass one at a time, so that memory does not grow with the length of a clip.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
from numpy.typing import NDArray

from dubl.errors import NotAVideo, NoVideoStream, SourceNotFound, TruncatedVideo

Codec = Literal["h264", "hevc", "vp9", "av1", "mpeg4"]
Image = NDArray[np.uint8]  # [H, W, 3], RGB
Size = tuple[int, int]  # width, height, in pixels

# Presentation times are whole ticks of this; MPEG-4 part 2 allows at most 65535 ticks a second.
TICK_S = Fraction(1, 60000)

_MIN_SEEK_S = 2.0  # decoding this much is cheaper than a seek

_ENCODERS: dict[Codec, str] = {
    "h264": "libx264",
    "hevc": "libx265",
    "vp9": "libvpx-vp9",
    "av1": "libsvtav1",
    "mpeg4": "mpeg4",
}
_FAST: dict[Codec, dict[str, str]] = {
    "h264": {"preset": "ultrafast", "sc_threshold": "0"},
    "hevc": {"preset": "ultrafast", "x265-params": "log-level=none:scenecut=0:pools=none"},
    "vp9": {"deadline": "realtime", "cpu-used": "8", "b": "0"},
    "av1": {"preset": "9", "svtav1-params": "lp=1"},
    "mpeg4": {},
}
_DEFAULT_QUALITY: dict[Codec, int] = {"h264": 23, "hevc": 28, "vp9": 32, "av1": 35, "mpeg4": 4}
_CONTAINERS: dict[Codec, str] = {"vp9": ".webm", "mpeg4": ".avi"}
_WITH_B_FRAMES: frozenset[Codec] = frozenset({"h264", "hevc", "mpeg4"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedFrame:
    """One picture and the second at which it is shown, counted from the start of the video."""

    time_s: float
    image: Image


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFacts:
    """What a file says of itself. `size` is that of the upright picture."""

    duration_s: float
    frame_rate: float
    size: Size


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """How a file is coded.

    quality: the codec's own scale, lower is better: CRF, for MPEG-4 the quantizer (1-31);
      `None` takes the usual middle.
    keyframe_interval: frames from one keyframe to the next; `None` leaves it to the encoder.
    rotation_deg: clockwise turn that a player must give the stored picture (display matrix).
    """

    codec: Codec = "h264"
    quality: int | None = None
    b_frames: int = 0
    keyframe_interval: int | None = None
    rotation_deg: Literal[0, 90, 180, 270] = 0

    def __post_init__(self) -> None:
        if self.codec not in _ENCODERS:
            raise ValueError(f"no encoder for {self.codec!r}; known: {', '.join(_ENCODERS)}")
        if self.b_frames and self.codec not in _WITH_B_FRAMES:
            raise ValueError(f"{self.codec} has no B-frames")

    @property
    def suffix(self) -> str:
        """Of a file that usually holds this codec."""
        return _CONTAINERS.get(self.codec, ".mp4")


def probe(path: Path) -> ClipFacts:
    """Reads duration, rate and size; decodes one frame for the rotation."""
    with _open(path) as container:
        stream = _video_stream(container, path)
        frame = next(container.decode(stream), None)
        if frame is None:
            raise NotAVideo(f"{path.name} has no picture that can be decoded")
        size = (frame.width, frame.height)
        if frame.rotation % 180:
            size = size[::-1]
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        return ClipFacts(duration_s=_duration_s(container, stream), frame_rate=rate, size=size)


def read_frames(
    path: Path, *, start_s: float = 0.0, end_s: float = math.inf, max_side: int | None = None
) -> Iterator[TimedFrame]:
    """Yields the upright frames of [start_s, end_s) in order of time; 0 s is the first frame.

    max_side: longer pictures are scaled down to this many pixels on their longer side.
    """
    with _open(path) as container:
        stream = _video_stream(container, path)
        try:
            for time_s, frame in _timed(container, stream, start_s):
                if time_s >= end_s:
                    return
                if time_s >= start_s:
                    yield TimedFrame(time_s=time_s, image=_upright_image(frame, max_side))
        except av.error.FFmpegError as exc:
            raise TruncatedVideo(f"{path.name} could not be decoded to its end: {exc}") from exc


def write_video(
    path: Path,
    frames: Iterable[TimedFrame],
    *,
    frame_rate: float | Fraction,
    encoding: Encoding | None = None,
) -> int:
    """Encodes `frames`, the container chosen by the suffix; returns how many were written.

    frame_rate: the nominal rate; the times of the frames are what counts.
    Raises ValueError when there is no frame, when sizes differ or are odd, or when times
    do not grow.
    """
    encoding = encoding or Encoding()
    count, previous = 0, -1
    # Without "bitexact" Matroska files carry a number drawn anew for each.
    with av.open(str(path), "w", options={"fflags": "bitexact"}) as container:
        stream: av.VideoStream | None = None
        for frame in frames:
            if stream is None:
                stream = _add_stream(container, frame.image, frame_rate, encoding)
            picture = _picture(frame, stream)
            if picture.pts <= previous:
                raise ValueError(f"frame {count} at {frame.time_s} s does not follow in time")
            previous = picture.pts
            container.mux(stream.encode(picture))
            count += 1
        if stream is None:
            raise ValueError("a video needs at least one frame")
        container.mux(stream.encode(None))
    return count


def _open(path: Path) -> av.container.InputContainer:
    try:
        return av.open(str(path))
    except FileNotFoundError as exc:
        raise SourceNotFound(f"{path} does not exist") from exc
    except av.error.FFmpegError as exc:
        raise NotAVideo(f"{path.name} could not be opened as a video: {exc}") from exc


def _video_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    if not container.streams.video:
        raise NoVideoStream(f"{path.name} has no video stream")
    stream = container.streams.video[0]
    stream.codec_context.thread_count = 1
    return stream


def _duration_s(container: av.container.InputContainer, stream: av.VideoStream) -> float:
    """What the container says of the stream; where it is silent, the span of its packets."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    container.seek(0)
    shown = [packet.pts for packet in container.demux(stream) if packet.pts is not None]
    rate = stream.average_rate or 25
    return float((max(shown) - min(shown)) * stream.time_base + 1 / rate) if shown else 0.0


def _timed(
    container: av.container.InputContainer, stream: av.VideoStream, start_s: float
) -> Iterator[tuple[float, av.VideoFrame]]:
    """Yields (seconds after the first frame, frame), from `start_s` or a keyframe before it."""
    frames = container.decode(stream)
    first = next(frames, None)
    if first is None:
        return
    zero_s = first.time or 0.0
    if start_s > _MIN_SEEK_S:
        container.seek(round((start_s + zero_s) / stream.time_base), stream=stream)
        frames = container.decode(stream)
        first = next(frames, None)
        if first is None or (first.time or 0.0) - zero_s > start_s:  # an index that lies
            container.seek(0)
            frames = container.decode(stream)
            first = next(frames)
    previous_s, step_s = -math.inf, float(1 / (stream.average_rate or 25))
    for frame in itertools.chain([first], frames):
        time_s = previous_s + step_s if frame.time is None else frame.time - zero_s
        previous_s = max(time_s, 0.0)
        yield previous_s, frame


def _upright_image(frame: av.VideoFrame, max_side: int | None) -> Image:
    width, height = frame.width, frame.height
    if max_side is not None and max(width, height) > max_side:
        scale = max_side / max(width, height)
        width, height = (max(2, round(side * scale / 2) * 2) for side in (width, height))
    image: Image = frame.to_ndarray(
        format="rgb24", width=width, height=height, interpolation="AREA"
    )
    quarter_turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, quarter_turns)) if quarter_turns else image


def _add_stream(
    container: av.container.OutputContainer,
    image: Image,
    frame_rate: float | Fraction,
    encoding: Encoding,
) -> av.VideoStream:
    rate = Fraction(frame_rate).limit_denominator(1001)
    stream = container.add_stream(_ENCODERS[encoding.codec], rate=rate)
    height, width = image.shape[:2]
    if width % 2 or height % 2:
        raise ValueError(f"the sides of a picture must be even, but it is {width}x{height}")
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    context = stream.codec_context
    # AVI knows no time but whole frames.
    context.time_base = 1 / rate if container.format.name == "avi" else TICK_S
    context.thread_count = 1
    if encoding.codec in _WITH_B_FRAMES:
        context.max_b_frames = encoding.b_frames
    if encoding.keyframe_interval is not None:
        context.gop_size = encoding.keyframe_interval
    if encoding.codec == "hevc" and "mp4" in container.format.name:
        context.codec_tag = "hvc1"
    stream.options = _options(encoding)
    if encoding.rotation_deg:
        stream.set_display_rotation(-encoding.rotation_deg)
    return stream


def _options(encoding: Encoding) -> dict[str, str]:
    quality = _DEFAULT_QUALITY[encoding.codec] if encoding.quality is None else encoding.quality
    if encoding.codec == "mpeg4":
        return {"qmin": str(quality), "qmax": str(quality)}
    return {**_FAST[encoding.codec], "crf": str(quality)}


def _picture(frame: TimedFrame, stream: av.VideoStream) -> av.VideoFrame:
    if frame.image.shape[:2] != (stream.height, stream.width):
        raise ValueError(f"a frame of {frame.image.shape} in a {stream.width}x{stream.height} clip")
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame.image), format="rgb24")
    tick_s = stream.codec_context.time_base
    picture.pts, picture.time_base = round(frame.time_s / tick_s), tick_s
    return picture
