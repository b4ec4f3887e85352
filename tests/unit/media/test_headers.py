"""Headers are claims, pictures are facts: a wrong duration refuses no sound file."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from dubl.errors import TruncatedVideo, VideoTooComplex
from dubl.footage.video_file import Encoding
from dubl.settings import MediaSettings
from tests.support.numbered_clip import write_numbered_clip
from tests.unit.media.clips import Decode

CLAIMED_S = [3 * 3600.0, 100 * 3600.0]
FRAMES, FRAME_RATE_HZ = 100, 25


def lying_avi(path: Path, claimed_s: float) -> Path:
    """Counts in its headers as many pictures as the claimed seconds would have."""
    write_numbered_clip(path, frames=FRAMES, encoding=Encoding(codec="mpeg4"))
    content, count = bytearray(path.read_bytes()), round(claimed_s * FRAME_RATE_HZ)
    main, stream = content.index(b"avih") + 8, content.index(b"strh") + 8
    struct.pack_into("<I", content, main + 16, count)
    struct.pack_into("<I", content, stream + 32, count)
    path.write_bytes(content)
    return path


def lying_matroska(path: Path, claimed_s: float) -> Path:
    """Claims a duration in milliseconds (id 4489, a double), and in its tag."""
    write_numbered_clip(path, frames=FRAMES, encoding=Encoding(codec="vp9"))
    content = bytearray(path.read_bytes())
    struct.pack_into(">d", content, content.index(b"\x44\x89\x88") + 3, claimed_s * 1e3)
    tag = f"{claimed_s / 3600:02.0f}:00:00.000000000".encode()
    content = content.replace(b"00:00:04.000000000", tag)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("claimed_s", CLAIMED_S)
@pytest.mark.parametrize("kind", ["avi", "mkv", "webm"])
def test_a_wrong_duration_refuses_no_whole_file(
    decode: Decode, tmp_path: Path, kind: str, claimed_s: float
) -> None:
    make = lying_avi if kind == "avi" else lying_matroska
    clip = decode(make(tmp_path / f"clip.{kind}", claimed_s), min_frames=16)
    assert clip.facts.duration_s == pytest.approx(4.0, abs=0.05)
    assert len(clip.frames) == 16
    assert not clip.facts.damaged


def test_a_file_that_was_cut_off_is_told(decode: Decode, tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    write_numbered_clip(path, frames=FRAMES, encoding=Encoding(codec="vp9"))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    assert decode(path).facts.damaged
    path.write_bytes(content[: len(content) // 3])
    with pytest.raises(TruncatedVideo):
        decode(path, min_frames=16)


@pytest.mark.parametrize("kind", ["avi", "mkv"])
def test_pictures_are_counted_up_to_the_limit(decode: Decode, tmp_path: Path, kind: str) -> None:
    make = lying_avi if kind == "avi" else lying_matroska
    path = make(tmp_path / f"clip.{kind}", 3600.0)
    assert decode(path, settings=MediaSettings(max_pictures=FRAMES)).facts.duration_s == 4.0
    with pytest.raises(VideoTooComplex):
        decode(path, settings=MediaSettings(max_pictures=FRAMES - 1))
