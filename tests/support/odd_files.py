"""Whole files in odd shapes, by seed: re-muxed, joined, with further streams, with lying headers.

Each shows the numbered pictures of one clip, or of several one after the other.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

# Containers that take a codec's packets as they are. PyAV copies no AV1 without an encoder for it.
CONTAINERS: Mapping[str, Sequence[str]] = {
    "h264": ("mp4", "mov", "mkv", "ts", "flv"),
    "hevc": ("mp4", "mkv", "ts"),
    "vp9": ("mp4", "mkv", "webm"),
    "mpeg4": ("mp4", "mkv", "avi"),
}
# Of these a copy behind a copy is a file; parts of other containers would need new headers.
JOINABLE = ("ts", "webm", "mkv")
NO_REORDERING = ("avi",)  # it has no times of its own
PREVIEW = (64, 48)


@dataclass(frozen=True, kw_only=True)
class OddFile:
    """A file, and how often it shows the pictures of the clip that it was made of."""

    path: Path
    shape: str
    parts: int


def odd_file(seed: int, clip: Path, codec: str, *, reorders: bool, folder: Path) -> OddFile:
    """The clip in one odd shape. `reorders`: it has B-frames."""
    rng = random.Random(seed)
    fit = [one for one in CONTAINERS[codec] if not (reorders and one in NO_REORDERING)]
    suffix = rng.choice(fit)
    path = folder / f"odd.{suffix}"
    shape = rng.choice(SHAPES)
    start_s = 0.0 if suffix in NO_REORDERING else rng.choice([0.0, 0.0, 3.0, 900.0])
    preview = rng.choice([0, 1, 25]) if suffix in ("mp4", "mov", "mkv") else 0
    copied(clip, path, start_s=start_s, preview=preview if shape == "streams" else 0)
    if shape == "joined" and suffix in JOINABLE:
        parts = rng.choice([2, 3, 4, 5])
        path.write_bytes(path.read_bytes() * parts)
        return OddFile(path=path, shape=f"{parts} parts {suffix}", parts=parts)
    if shape == "lying":
        path.write_bytes(lying(bytearray(path.read_bytes()), suffix, rng))
    return OddFile(path=path, shape=f"{shape} {suffix}", parts=1)


SHAPES = ("remuxed", "joined", "streams", "lying")


def copied(clip: Path, path: Path, *, start_s: float, preview: int) -> None:
    """The clip's packets in another container, after `preview` pictures of a small stream."""
    with av.open(str(clip)) as source, av.open(str(path), "w") as target:
        video = source.streams.video[0]
        copy = target.add_stream_from_template(video)
        small = _preview_stream(target) if preview else None
        if small is not None:
            gray = np.full((PREVIEW[1], PREVIEW[0], 3), 120, np.uint8)
            frames = [av.VideoFrame.from_ndarray(gray, format="rgb24") for _ in range(preview)]
            for frame in (*frames, None):
                target.mux(small.encode(frame))
        for packet in source.demux(video):
            if packet.dts is not None:
                _mux(target, packet, copy, start_s)


def _preview_stream(target: OutputContainer) -> VideoStream:
    stream = target.add_stream("mpeg4", rate=25)
    stream.width, stream.height, stream.pix_fmt = *PREVIEW, "yuv420p"
    return stream


def _mux(
    target: OutputContainer, packet: Packet[VideoStream], stream: VideoStream, start_s: float
) -> None:
    assert packet.time_base is not None
    shift = round(Fraction(start_s) / packet.time_base)
    packet.stream = stream
    if packet.pts is not None:
        packet.pts += shift
    assert packet.dts is not None
    packet.dts += shift
    target.mux(packet)


def lying(content: bytearray, suffix: str, rng: random.Random) -> bytes:
    """Other durations in the header than the pictures have; nothing else is changed."""
    factor = rng.choice([0.1, 10, 1000])
    LIES.get(suffix, _no_lie)(content, factor)
    return bytes(content)


def _lying_avi(content: bytearray, factor: float) -> None:
    for name, offset in ((b"avih", 16), (b"strh", 32)):
        _scale(content, content.index(name) + 8 + offset, "<I", factor)


def _lying_matroska(content: bytearray, factor: float) -> None:
    place = content.find(b"\x44\x89\x88")
    if place >= 0:
        _scale(content, place + 3, ">d", factor)


def _lying_mp4(content: bytearray, factor: float) -> None:
    """Of the whole film; that of the track is a fact about its samples."""
    place = content.index(b"mvhd") + 4
    assert content[place] == 0  # version: times of 32 bits
    _scale(content, place + 16, ">I", factor)


def _no_lie(content: bytearray, factor: float) -> None:
    del content, factor


def _scale(content: bytearray, place: int, form: str, factor: float) -> None:
    (value,) = struct.unpack_from(form, content, place)
    scaled = value * factor
    struct.pack_into(form, content, place, scaled if form[1] == "d" else min(int(scaled), 2**31))


LIES: Mapping[str, Callable[[bytearray, float], None]] = {
    "avi": _lying_avi,
    "mkv": _lying_matroska,
    "webm": _lying_matroska,
    "mp4": _lying_mp4,
    "mov": _lying_mp4,
}
