"""Files that cannot serve are refused by name; damaged ones serve as far as they go."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image

from dubl.errors import (
    DublError,
    EmptyFile,
    FrameTooLarge,
    NotAVideo,
    NoVideoStream,
    SourceNotFound,
    TruncatedVideo,
    UnsupportedCodec,
    VideoTooLong,
    VideoTooShort,
)
from dubl.footage.video_file import Encoding
from dubl.settings import MediaSettings
from tests.support.numbered_clip import (
    numbered_frame,
    read_frame_number,
    write_audio_file,
    write_numbered_clip,
)
from tests.unit.media.clips import Decode

SECONDS = 8


@pytest.fixture(scope="module")
def mp4(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return _clip(tmp_path_factory.mktemp("whole") / "clip.mp4")


@pytest.fixture(scope="module")
def mkv(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return _clip(tmp_path_factory.mktemp("whole") / "clip.mkv")


def _clip(path: Path) -> bytes:
    encoding = Encoding(keyframe_interval=25)
    write_numbered_clip(path, frames=25 * SECONDS, encoding=encoding, size=(320, 240))
    return path.read_bytes()


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", EmptyFile),
        (b"not a video at all " * 50, NotAVideo),
        (bytes(5000), NotAVideo),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://127.0.0.1:9/a.ts\n", NotAVideo),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nclip.mp4\n", NotAVideo),
        (b"ffconcat version 1.0\nfile clip.mp4\n", NotAVideo),
        (b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>', NotAVideo),
    ],
)
def test_what_is_no_video_is_refused(
    tmp_path: Path, decode: Decode, mp4: bytes, content: bytes, error: type[DublError]
) -> None:
    (tmp_path / "clip.mp4").write_bytes(mp4)  # what the playlists name exists
    for name in ("upload", "upload.m3u8", "upload.ffconcat"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(error) as caught:
            decode(tmp_path / name)
        assert caught.value.context["name"] == f"the {name}"


def test_pictures_and_sound_are_no_videos(tmp_path: Path, decode: Decode) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "still.png")
    write_audio_file(tmp_path / "sound.m4a", duration_s=1.0)
    with pytest.raises(NotAVideo):
        decode(tmp_path / "still.png")
    with pytest.raises(NoVideoStream):
        decode(tmp_path / "sound.m4a")


def test_a_file_that_vanished_is_not_found(tmp_path: Path, decode: Decode) -> None:
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(SourceNotFound):
        decode(tmp_path / "folder.mp4")


def test_a_gif_is_a_video(tmp_path: Path, decode: Decode) -> None:
    pictures = [Image.fromarray(numbered_frame(number)) for number in range(20)]
    pictures[0].save(
        tmp_path / "moving.gif", save_all=True, append_images=pictures[1:], duration=100
    )
    clip = decode(tmp_path / "moving.gif")
    assert [read_frame_number(frame) for frame in clip.frames] == [0, 5, 10, 15]


def test_a_file_without_its_index_is_truncated(tmp_path: Path, decode: Decode, mp4: bytes) -> None:
    assert mp4.index(b"mdat") < mp4.index(b"moov")
    with pytest.raises(TruncatedVideo):
        decode(_written(tmp_path / "cut.mp4", mp4[: len(mp4) * 3 // 4]))


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_cut_file_serves_as_far_as_it_goes(
    tmp_path: Path, decode: Decode, mp4: bytes, mkv: bytes, suffix: str
) -> None:
    whole = _index_first(mp4) if suffix == "mp4" else mkv
    path = _written(tmp_path / f"cut.{suffix}", whole[: len(whole) * 6 // 10])
    clip = decode(path)
    assert clip.facts.damaged
    assert SECONDS / 3 < clip.facts.duration_s < SECONDS * 3 / 4
    numbers = [read_frame_number(frame) for frame in clip.frames]
    assert clip.timestamps_s.tolist() == pytest.approx([number / 25 for number in numbers])


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_file_cut_off_early_is_refused(
    tmp_path: Path, decode: Decode, mp4: bytes, mkv: bytes, suffix: str
) -> None:
    whole = _index_first(mp4) if suffix == "mp4" else mkv
    with pytest.raises(TruncatedVideo):
        decode(_written(tmp_path / f"cut.{suffix}", whole[: len(whole) * 2 // 10]), min_frames=8)


def test_a_whole_file_is_not_called_damaged(tmp_path: Path, decode: Decode, mp4: bytes) -> None:
    for content in (mp4, _index_first(mp4)):
        assert not decode(_written(tmp_path / "whole.mp4", content)).facts.damaged


@pytest.mark.parametrize("seed", range(5))
def test_flipped_bits_leave_a_damaged_video_with_true_times(
    tmp_path: Path, decode: Decode, mp4: bytes, seed: int
) -> None:
    content, rng = bytearray(mp4), random.Random(seed)
    for _ in range(40):
        place = rng.randrange(mp4.index(b"mdat") + 2000, mp4.index(b"moov") - 100)
        content[place] ^= 1 << rng.randrange(8)
    clip = decode(_written(tmp_path / "flipped.mp4", bytes(content)))
    assert clip.facts.damaged
    assert len(clip.frames) >= SECONDS
    assert np.all(np.diff(clip.timestamps_s) > 0)


@pytest.mark.parametrize("seed", range(12))
def test_damage_anywhere_ends_in_a_clip_or_a_domain_error(
    tmp_path: Path, decode: Decode, mp4: bytes, mkv: bytes, seed: int
) -> None:
    rng = random.Random(seed)
    content = bytearray(rng.choice([mp4, mkv, _index_first(mp4)]))
    for _ in range(rng.choice([5, 50, 500])):
        content[rng.randrange(len(content))] = rng.randrange(256)
    try:
        clip = decode(_written(tmp_path / "noise.bin", bytes(content)))
    except DublError:
        return
    assert len(clip.frames) == len(clip.timestamps_s) > 0


def test_an_unknown_codec_is_named(tmp_path: Path, decode: Decode, mp4: bytes) -> None:
    with pytest.raises(UnsupportedCodec):
        decode(_written(tmp_path / "new.mp4", mp4.replace(b"avc1", b"zzz1")))


def test_lengths_outside_the_limits_are_refused(tmp_path: Path, decode: Decode, mp4: bytes) -> None:
    path = _written(tmp_path / "clip.mp4", mp4)
    with pytest.raises(VideoTooLong):
        decode(path, settings=MediaSettings(max_duration_s=SECONDS - 1))
    with pytest.raises(VideoTooShort):
        decode(path, settings=MediaSettings(min_duration_s=SECONDS + 1))


def test_large_frames_are_refused(tmp_path: Path, decode: Decode, mp4: bytes) -> None:
    path = _written(tmp_path / "clip.mp4", mp4)
    with pytest.raises(FrameTooLarge) as caught:
        decode(path, settings=MediaSettings(max_pixels=320 * 240 - 1))
    assert caught.value.context["width"] == 320


def test_a_stream_that_grows_in_the_middle_keeps_to_the_limit(
    tmp_path: Path, decode: Decode
) -> None:
    path = tmp_path / "growing.ts"
    path.write_bytes(
        _transport_stream(tmp_path, (192, 128), 0) + _transport_stream(tmp_path, (640, 480), 4)
    )
    free = decode(path)
    assert len(free.frames) == 16
    bounded = decode(path, settings=MediaSettings(max_pixels=192 * 128))
    assert bounded.facts.damaged
    assert bounded.timestamps_s.max() < 4.2


def test_cover_art_is_no_video(tmp_path: Path, decode: Decode) -> None:
    path = tmp_path / "album.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        sound, cover = container.add_stream("aac", rate=16000), container.add_stream("mjpeg")
        sound.layout, cover.disposition = "mono", Disposition.attached_pic
        cover.width, cover.height, cover.pix_fmt = 192, 128, "yuvj420p"
        picture = av.VideoFrame.from_ndarray(numbered_frame(1), format="rgb24")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.int16), "s16", "mono")
        silence.sample_rate, silence.pts = 16000, 0
        for stream, frame in ((cover, picture), (cover, None), (sound, silence), (sound, None)):
            container.mux(stream.encode(frame))
    with pytest.raises(NoVideoStream):
        decode(path)


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _transport_stream(folder: Path, size: tuple[int, int], start_s: float) -> bytes:
    path = folder / "part.ts"
    write_numbered_clip(path, frames=100, size=size, start_offset_s=start_s)
    return path.read_bytes()


def _index_first(mp4: bytes) -> bytes:
    """Moves the index of an MP4 file to its start, as for streaming."""
    start, body = mp4.index(b"moov") - 4, mp4.index(b"mdat") - 4
    moov = bytearray(mp4[start:])
    offsets = moov.index(b"stco") + 8
    (count,) = struct.unpack_from(">I", moov, offsets)
    for place in range(offsets + 4, offsets + 4 + 4 * count, 4):
        (offset,) = struct.unpack_from(">I", moov, place)
        struct.pack_into(">I", moov, place, offset + len(moov))
    return mp4[:body] + bytes(moov) + mp4[body:start]


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\x89PNG\r\n\x1a\n", "APNG"),
        (b"RIFF\x10\x00\x00\x00WEBPVP8X", "WebP"),
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"\x00\x00\x00\x01\x67\x64", r"H\.264"),
        (b"\x00\x00\x00\x01\x40\x01", r"H\.265"),
    ],
)
def test_a_known_format_is_refused_by_its_name(
    decode: Decode, tmp_path: Path, head: bytes, name: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(head + bytes(1000))
    with pytest.raises(NotAVideo, match=name):
        decode(path)
