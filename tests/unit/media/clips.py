"""Kinds of numbered clips, and the reading of their numbers."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dubl.footage.video_file import Encoding
from dubl.types import FrameClip, Uint8Array, VideoSource
from tests.support.numbered_clip import read_frame_number, write_numbered_clip

FRAMES = 100
FRAME_RATE_HZ = 25

Decode = Callable[..., FrameClip]


@dataclass(frozen=True)
class Kind:
    """A kind of file: its container by suffix, its coding, its times."""

    suffix: str
    encoding: Encoding = field(default_factory=Encoding)
    variable: bool = False
    start_offset_s: float = 0.0
    size: tuple[int, int] = (192, 128)


@dataclass(frozen=True)
class NumberedFile:
    path: Path
    times_s: tuple[float, ...]


def source_of(path: Path) -> VideoSource:
    return VideoSource(
        path=str(path), sha256="", size_bytes=path.stat().st_size, name=f"the {path.name}"
    )


def _encoding(codec: str, *, b_frames: int = 0, rotation_deg: int = 0) -> Encoding:
    return Encoding(codec=codec, b_frames=b_frames, rotation_deg=rotation_deg, keyframe_interval=30)


KINDS: dict[str, Kind] = {
    "h264 mp4": Kind("mp4", _encoding("h264")),
    "h264 mp4, b-frames": Kind("mp4", _encoding("h264", b_frames=3)),
    "h264 mov": Kind("mov", _encoding("h264")),
    "h264 mkv, b-frames": Kind("mkv", _encoding("h264", b_frames=3)),
    "h264 avi": Kind("avi", _encoding("h264")),
    "h264 ts": Kind("ts", _encoding("h264")),
    "h264 ts, b-frames": Kind("ts", _encoding("h264", b_frames=3)),
    "hevc mp4": Kind("mp4", _encoding("hevc")),
    "hevc mkv, b-frames": Kind("mkv", _encoding("hevc", b_frames=3)),
    "vp9 webm": Kind("webm", _encoding("vp9")),
    "vp9 mp4": Kind("mp4", _encoding("vp9")),
    "av1 mp4": Kind("mp4", _encoding("av1")),
    "av1 webm": Kind("webm", _encoding("av1")),
    "mpeg4 avi": Kind("avi", _encoding("mpeg4")),
    "mpeg4 mp4, b-frames": Kind("mp4", _encoding("mpeg4", b_frames=2)),
    "variable mp4": Kind("mp4", _encoding("h264"), variable=True),
    "variable mkv, b-frames": Kind("mkv", _encoding("h264", b_frames=3), variable=True),
    "late mp4, b-frames": Kind("mp4", _encoding("h264", b_frames=3), start_offset_s=3.0),
    "late mkv": Kind("mkv", _encoding("h264"), start_offset_s=3.0),
    "turned 90 mp4": Kind("mp4", _encoding("h264", rotation_deg=90)),
    "turned 180 mp4": Kind("mp4", _encoding("h264", rotation_deg=180)),
    "turned 270 mkv": Kind("mkv", _encoding("h264", rotation_deg=270)),
    "tiny mp4": Kind("mp4", _encoding("h264"), size=(16, 16)),
}


def write_kind(name: str, folder: Path) -> NumberedFile:
    """Writes the clip of a kind in KINDS."""
    kind = KINDS[name]
    path = folder / f"{name.replace(' ', '_')}.{kind.suffix}"
    times_s = _times(variable=kind.variable)
    write_numbered_clip(
        path,
        frames=FRAMES,
        frame_rate=FRAME_RATE_HZ,
        size=kind.size,
        encoding=kind.encoding,
        times_s=times_s,
        start_offset_s=kind.start_offset_s,
    )
    return NumberedFile(path=path, times_s=times_s)


def true_times(frames: Uint8Array, times_s: Sequence[float]) -> list[float]:
    """When the numbered pictures [N,H,W,3] were shown."""
    return [times_s[read_frame_number(frame)] for frame in frames]


def _times(*, variable: bool) -> tuple[float, ...]:
    steps = [1 / FRAME_RATE_HZ] * (FRAMES - 1)
    if variable:
        steps = random.Random(7).choices([0.02, 0.04, 0.1, 0.3], k=FRAMES - 1)
    return tuple(float(time_s) for time_s in np.cumsum([0.0, *steps]))
