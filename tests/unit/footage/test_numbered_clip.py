"""Numbered clips are the ruler of the media tests: their numbers and times must be exact."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image as PillowImage

from dubl.errors import NoVideoStream
from dubl.footage.video_file import Codec, Encoding, probe, read_frames
from tests.support.numbered_clip import (
    numbered_frame,
    read_frame_number,
    write_audio_file,
    write_numbered_clip,
)


def _numbers(path: Path) -> list[int]:
    return [read_frame_number(frame.image) for frame in read_frames(path)]


@pytest.mark.parametrize("number", [0, 1, 4711, 65535])
def test_a_number_reads_back_at_another_size(number: int) -> None:
    drawn = PillowImage.fromarray(numbered_frame(number, size=(192, 128)))
    assert read_frame_number(np.asarray(drawn.resize((61, 75)))) == number


def test_a_turned_or_mirrored_frame_is_refused() -> None:
    upright = numbered_frame(77)
    for changed in (np.rot90(upright, 2), upright[:, ::-1], np.rot90(upright), upright * 0):
        with pytest.raises(ValueError, match=r"check bits|no black and white"):
            read_frame_number(changed)


@pytest.mark.parametrize(
    ("codec", "name"),
    [
        ("h264", "clip.mp4"),
        ("h264", "clip.ts"),
        ("hevc", "clip.mp4"),
        ("vp9", "clip.webm"),
        ("av1", "clip.mkv"),
        ("mpeg4", "clip.avi"),
    ],
)
def test_every_codec_keeps_numbers_and_times(tmp_path: Path, codec: Codec, name: str) -> None:
    path = tmp_path / name
    write_numbered_clip(path, frames=12, frame_rate=25, encoding=Encoding(codec=codec))
    frames = list(read_frames(path))
    assert [read_frame_number(frame.image) for frame in frames] == list(range(12))
    assert [frame.time_s for frame in frames] == pytest.approx([i / 25 for i in range(12)])


@pytest.mark.parametrize("rotation_deg", [90, 180, 270])
def test_a_rotated_clip_is_upright_for_a_player_that_obeys(
    tmp_path: Path, rotation_deg: Literal[90, 180, 270]
) -> None:
    path = tmp_path / "turned.mp4"
    encoding = Encoding(rotation_deg=rotation_deg)
    write_numbered_clip(path, frames=3, size=(192, 128), encoding=encoding)
    assert _numbers(path) == [0, 1, 2]
    assert probe(path).size == (192, 128)


def test_b_frames_come_out_in_order_of_time(tmp_path: Path) -> None:
    path = tmp_path / "b.mp4"
    write_numbered_clip(path, frames=20, encoding=Encoding(b_frames=3, keyframe_interval=10))
    assert _numbers(path) == list(range(20))


def test_variable_frame_times_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "vfr.mp4"
    times_s = [0.0, 0.04, 0.2, 0.21, 1.5]
    assert write_numbered_clip(path, frames=5, times_s=times_s) == tuple(times_s)
    assert [frame.time_s for frame in read_frames(path)] == pytest.approx(times_s, abs=1e-4)


def test_an_ntsc_clip_with_an_offset_starts_at_zero_for_the_reader(tmp_path: Path) -> None:
    path = tmp_path / "late.mkv"
    rate = Fraction(30000, 1001)
    write_numbered_clip(path, frames=30, frame_rate=rate, start_offset_s=2.5, first_number=100)
    frames = list(read_frames(path))
    assert frames[0].time_s == 0.0
    assert read_frame_number(frames[-1].image) == 129
    assert probe(path).duration_s == pytest.approx(1.001, abs=0.005)


def test_an_audio_file_has_no_video_stream(tmp_path: Path) -> None:
    path = tmp_path / "tone.m4a"
    write_audio_file(path, duration_s=0.5)
    with pytest.raises(NoVideoStream):
        probe(path)
