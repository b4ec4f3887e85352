"""One picture, of an image file or of a video at an instant, in the confined process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dubl.errors import FrameTooLarge, MediaError, NotAVideo, UnsupportedCodec, VideoTooShort
from dubl.media.sandbox import SandboxedDecoder
from dubl.settings import MediaSettings
from dubl.types import FrameClip, Sampling
from tests.support.numbered_clip import numbered_frame, read_frame_number
from tests.unit.media.clips import FRAME_RATE_HZ, source_of, write_kind


@pytest.fixture(scope="module")
def decoder() -> Iterator[SandboxedDecoder]:
    with SandboxedDecoder(MediaSettings(max_pixels=1 << 20)) as decoder:
        yield decoder


def still(decoder: SandboxedDecoder, path: Path, at_s: float = 0.0) -> FrameClip:
    sampling = Sampling(rate_hz=1.0, min_frames=16, frame_size=96, still_at_s=at_s)
    return decoder.decode(source_of(path), sampling=sampling)


@pytest.mark.parametrize("suffix", ["png", "jpeg", "webp", "bmp", "gif", "avif"])
def test_an_image_is_a_clip_of_one_frame(
    decoder: SandboxedDecoder, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"picture.{suffix}"
    Image.fromarray(numbered_frame(1234)).save(path)
    clip = still(decoder, path)
    assert clip.frames.shape == (1, 96, 96, 3)
    assert read_frame_number(clip.frames[0]) == 1234
    assert clip.timestamps_s.tolist() == [0.0]


@pytest.mark.parametrize(
    "kind", ["h264 mp4, b-frames", "late mp4, b-frames", "vp9 webm", "h264 avi", "turned 90 mp4"]
)
def test_a_video_shows_the_picture_of_that_instant(
    decoder: SandboxedDecoder, tmp_path: Path, kind: str
) -> None:
    path = write_kind(kind, tmp_path).path
    for number in (0, 37, 80):
        clip = still(decoder, path, number / FRAME_RATE_HZ + 0.01)
        # AVI tells when pictures are decoded, not when they are shown.
        late = 1 if kind.endswith("avi") else 0
        assert abs(read_frame_number(clip.frames[0]) - number) <= late
        assert clip.timestamps_s[0] == pytest.approx(number / FRAME_RATE_HZ, abs=0.041)


def test_an_instant_behind_the_end_is_none(decoder: SandboxedDecoder, tmp_path: Path) -> None:
    path = write_kind("h264 mp4", tmp_path).path
    with pytest.raises(VideoTooShort):
        still(decoder, path, 60.0)
    for far in (1e13, 1e300):
        with pytest.raises(VideoTooShort):
            still(decoder, path, far)


def test_what_only_begins_like_an_image_is_refused(
    decoder: SandboxedDecoder, tmp_path: Path
) -> None:
    path = tmp_path / "half.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"nothing" * 20)
    with pytest.raises(MediaError):
        still(decoder, path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "gif", "avif"])
def test_a_picture_of_too_many_pixels_is_refused_as_too_large(
    decoder: SandboxedDecoder, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"large.{suffix}"
    Image.new("RGB", (2000, 2000)).save(path)
    with pytest.raises(FrameTooLarge, match="2000x2000"):
        still(decoder, path)


def test_a_detailed_picture_is_read_under_the_usual_name_of_its_kind(
    decoder: SandboxedDecoder, tmp_path: Path
) -> None:
    path = tmp_path / "detailed.jpg"
    pixels = np.random.default_rng(0).integers(0, 256, (600, 800, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, quality=95)
    assert still(decoder, path).frames.shape == (1, 96, 96, 3)


def test_an_animation_shows_its_first_picture_and_that_of_an_instant(
    decoder: SandboxedDecoder, tmp_path: Path
) -> None:
    path = tmp_path / "pictures.gif"
    first, *others = (Image.fromarray(numbered_frame(number)) for number in (5, 6, 7))
    first.save(path, save_all=True, append_images=others, duration=1000)
    assert read_frame_number(still(decoder, path).frames[0]) == 5
    assert read_frame_number(still(decoder, path, 1.5).frames[0]) == 6


def test_an_animated_webp_is_refused_by_its_name(decoder: SandboxedDecoder, tmp_path: Path) -> None:
    path = tmp_path / "pictures.webp"
    first, other = (Image.fromarray(numbered_frame(number)) for number in (5, 6))
    first.save(path, save_all=True, append_images=[other], duration=1000)
    with pytest.raises(UnsupportedCodec, match="animated WebP"):
        still(decoder, path)


def test_a_playlist_of_images_is_no_image(decoder: SandboxedDecoder, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "secret1.png")
    path = tmp_path / "secret%d.png"
    path.write_bytes(b"#EXTM3U\nsecret1.png\n")
    with pytest.raises(NotAVideo):
        still(decoder, path)
