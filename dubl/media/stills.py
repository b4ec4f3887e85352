"""A single picture: an image file, or the frame of a video at one instant."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from dubl.errors import NotAVideo, TruncatedVideo, UnsupportedCodec, VideoTooShort
from dubl.media.clock import JUMPING_FORMATS, Clock
from dubl.media.containers import films, open_container, packets
from dubl.media.deadline import Deadline
from dubl.media.pictures import Scaler, orientation_of
from dubl.media.probe import check_size, probe_file
from dubl.settings import MediaSettings
from dubl.types import WHOLE_FRAME, FrameClip, Sampling, VideoFacts

# First bytes of a picture, and the format that reads one self-contained picture of this kind.
# "image2" would read other files by pattern. AVIF and GIF are read as videos are.
IMAGE_FORMATS = {
    b"\x89PNG\r\n\x1a\n": "png_pipe",
    b"\xff\xd8\xff": "jpeg_pipe",
    b"RIFF": "webp_pipe",
    b"BM": "bmp_pipe",
}
# Place of the flags in the header of an extended WebP file, and the flag of an animation.
WEBP_FLAGS, WEBP_ANIMATED = 20, 0x02


def read_still(path: str, at_s: float, *, sampling: Sampling, settings: MediaSettings) -> FrameClip:
    """A clip of one whole frame.

    Raises MediaError, DecodeTimeout, and VideoTooShort if the video ends before `at_s`.
    """
    started = time.perf_counter()
    deadline = Deadline(settings.decode_timeout_s)
    clock = _clock(path, at_s, settings, deadline)
    with _opened(path) as container:
        frame, origin_s = _frame_at(container, at_s, clock, settings, deadline)
        check_size(frame.width, frame.height, settings)
        orientation = orientation_of(frame)
        picture = Scaler(sampling=sampling, orientation=orientation).draw(frame)
        facts = VideoFacts(
            duration_s=0.0,
            width=frame.width,
            height=frame.height,
            rotation_deg=orientation.clockwise_deg,
            codec=container.streams.video[0].codec_context.codec.canonical_name,
            container=container.format.name,
            backend="pyav",
        )
    return FrameClip(
        frames=np.ascontiguousarray(picture)[None],
        timestamps_s=np.array([(frame.time or 0.0) - origin_s]),
        views=np.array([WHOLE_FRAME], dtype=np.uint8),
        facts=facts,
        timings_ms={"decode": (time.perf_counter() - started) * 1e3},
    )


def _clock(path: str, at_s: float, settings: MediaSettings, deadline: Deadline) -> Clock:
    """The clock of a video; that of an image, or of a first picture, is not needed."""
    if at_s <= 0 or _image_format(path):
        return Clock()
    return probe_file(path, settings=settings, deadline=deadline).clock


def _opened(path: str) -> InputContainer:
    """Raises NotAVideo, or UnsupportedCodec for an animated WebP file."""
    image_format = _image_format(path)
    if not image_format:
        return open_container(path)
    # The format is named: a guess by the file's name may be "image2".
    options = {"protocol_whitelist": "file", "format_whitelist": image_format}
    try:
        container: InputContainer = av.open(
            f"file:{Path(path).absolute()}", format=image_format, options=options
        )
    except av.error.FFmpegError as exc:
        raise NotAVideo(
            "the picture cannot be read. Send PNG, JPEG, WebP, AVIF, GIF or BMP."
        ) from exc
    return container


def _image_format(path: str) -> str:
    """The format that reads the picture; empty if the file is read as videos are.

    Raises UnsupportedCodec for an animated WebP file.
    """
    with Path(path).open("rb") as file:
        head = file.read(WEBP_FLAGS + 1)
    if head[8:12] == b"AVI ":
        return ""
    if head[8:16] == b"WEBPVP8X" and head[WEBP_FLAGS:] and head[WEBP_FLAGS] & WEBP_ANIMATED:
        raise UnsupportedCodec("animated WebP is not supported")
    return next((name for magic, name in IMAGE_FORMATS.items() if head.startswith(magic)), "")


def _frame_at(
    container: InputContainer,
    at_s: float,
    clock: Clock,
    settings: MediaSettings,
    deadline: Deadline,
) -> tuple[VideoFrame, float]:
    """The picture on screen at `at_s`, and the time of the first picture in the file."""
    stream = films(container, settings=settings, deadline=deadline).shown
    # Before a picture is decoded: a small file may hold a huge one.
    check_size(stream.codec_context.width, stream.codec_context.height, settings)
    origin_s = float((stream.start_time or 0) * (stream.time_base or Fraction(1)))
    try:
        if at_s > settings.max_duration_s:
            raise VideoTooShort(f"{at_s:g} s is beyond media.max_duration_s")
        # Where clocks may jump, FFmpeg may land behind the picture.
        if at_s > 0 and not clock.is_joined and container.format.name not in JUMPING_FORMATS:
            container.seek(int((at_s + origin_s) * av.time_base), backward=True)
        shown = _last_until(_frames(container, stream, clock, deadline), at_s + origin_s)
    except av.error.FFmpegError as exc:
        raise TruncatedVideo(f"the picture at {at_s:g} s could not be decoded") from exc
    if shown is None:
        raise VideoTooShort(f"the video has no picture at {at_s:g} s")
    return shown, origin_s


def _frames(
    container: InputContainer, stream: VideoStream, clock: Clock, deadline: Deadline
) -> Iterator[VideoFrame]:
    for packet in clock.laid(packets(container, stream)):
        deadline.check()
        yield from packet.decode()


def _last_until(frames: Iterator[VideoFrame], until_s: float) -> VideoFrame | None:
    """The last picture up to `until_s`, or the first one; None if all end clearly earlier."""
    shown: VideoFrame | None = None
    for frame in frames:
        if shown is not None and (frame.time or 0.0) > until_s + 1e-3:
            return shown
        shown = frame
    is_late = shown is not None and until_s > (shown.time or 0.0) + 1.0
    return None if is_late else shown
