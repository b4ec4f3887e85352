"""Files made to do harm: huge pictures, absurd rates, files that name other files, polyglots."""

from __future__ import annotations

import io
import struct
import zipfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from dubl.errors import DublError, FrameTooLarge, MediaError, NotAVideo, VideoTooComplex
from dubl.media.decord_backend import decord_is_installed
from dubl.media.sandbox import SandboxedDecoder
from dubl.settings import MediaSettings
from dubl.types import FrameClip, Sampling
from tests.support.numbered_clip import numbered_frame, read_frame_number, write_numbered_clip
from tests.unit.media.clips import Decode, source_of

HUGE = 50_000


@pytest.fixture(scope="module")
def mp4(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "clip.mp4"
    write_numbered_clip(path, frames=50)
    return path.read_bytes()


def _gif(folder: Path) -> Path:
    pictures = [Image.fromarray(numbered_frame(number)) for number in range(10)]
    content = io.BytesIO()
    pictures[0].save(content, "GIF", save_all=True, append_images=pictures[1:], duration=100)
    data = bytearray(content.getvalue())
    struct.pack_into("<HH", data, 6, HUGE, HUGE)
    return _written(folder / "huge.gif", bytes(data))


def _jpegs(folder: Path) -> Path:
    """MJPEG in AVI whose pictures claim to be huge."""
    content = io.BytesIO()
    Image.fromarray(numbered_frame(1)).save(content, "JPEG")
    picture = bytearray(content.getvalue())
    struct.pack_into(">HH", picture, picture.index(b"\xff\xc0") + 5, HUGE, HUGE)
    path = folder / "huge.avi"
    with av.open(str(path), "w", format="avi") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 192, 128, "yuvj420p"
        for number in range(25):
            packet = av.Packet(bytes(picture))
            packet.stream, packet.pts, packet.dts = stream, number, number
            packet.time_base, packet.is_keyframe = Fraction(1, 25), True
            container.mux(packet)
    return path


def _ivf(folder: Path) -> Path:
    path = folder / "huge.ivf"
    with av.open(str(path), "w", format="ivf") as container:
        stream = container.add_stream("libvpx", rate=25)
        stream.width, stream.height, stream.pix_fmt = 192, 128, "yuv420p"
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(numbered_frame(number), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    data = bytearray(path.read_bytes())
    struct.pack_into("<HH", data, 12, HUGE, HUGE)
    key = data.index(b"\x9d\x01\x2a")
    struct.pack_into("<HH", data, key + 3, 0x3FFF, 0x3FFF)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("make", [_gif, _jpegs, _ivf], ids=["gif", "mjpeg", "vp8"])
def test_huge_pictures_are_refused_before_memory_is_taken_for_them(
    tmp_path: Path, make: object
) -> None:
    assert callable(make)
    path = make(tmp_path)
    settings = MediaSettings(decode_memory_bytes=1 << 30)
    with SandboxedDecoder(settings) as decoder, pytest.raises(MediaError) as caught:
        decoder.decode(source_of(path), sampling=SAMPLING)
    assert isinstance(caught.value, FrameTooLarge | NotAVideo), caught.value


SAMPLING = Sampling(rate_hz=2.0, min_frames=4, frame_size=96)


def test_a_claimed_rate_of_a_million_pictures_a_second_costs_nothing(
    tmp_path: Path, decode: Decode
) -> None:
    path = tmp_path / "fast.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1_000_000)
        stream.width, stream.height, stream.pix_fmt = 192, 128, "yuv420p"
        stream.time_base = Fraction(1, 1_000_000)
        for number in range(50):
            frame = av.VideoFrame.from_ndarray(numbered_frame(number), format="rgb24")
            frame.pts, frame.time_base = number * 40_000, Fraction(1, 1_000_000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    clip = decode(path)
    numbers = [read_frame_number(frame) for frame in clip.frames]
    assert numbers == pytest.approx([0, 12.5, 25, 37.5], abs=2)


def test_more_pictures_than_allowed_are_refused(tmp_path: Path, decode: Decode, mp4: bytes) -> None:
    path = _written(tmp_path / "clip.mp4", mp4)
    with pytest.raises(VideoTooComplex) as caught:
        decode(path, settings=MediaSettings(max_pictures=49))
    assert caught.value.context["limit_pictures"] == 49
    assert len(decode(path, settings=MediaSettings(max_pictures=50)).frames) == 4


def test_more_streams_than_allowed_are_refused(tmp_path: Path, decode: Decode) -> None:
    path = tmp_path / "many.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("mpeg4", rate=25) for _ in range(6)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for stream in streams:
            for _ in range(25):
                frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    assert len(decode(path).frames) > 0
    with pytest.raises(VideoTooComplex):
        decode(path, settings=MediaSettings(max_streams=5))


def test_a_stream_that_first_shows_in_the_middle_ends_no_process(
    tmp_path: Path, decode: Decode
) -> None:
    path = tmp_path / "late.ts"
    write_numbered_clip(path, frames=100)
    content = bytearray(path.read_bytes())
    begins_picture = [
        place
        for place in range(0, len(content), 188)
        if content[place + 1 : place + 3] == b"\x41\x00"
    ]
    content[begins_picture[60] + 1 : begins_picture[60] + 3] = b"\x41\xf0"
    clip = decode(_written(path, bytes(content)))
    assert read_frame_number(clip.frames[0]) == 0
    assert len(clip.frames) >= 4


_PLAYLISTS = {
    "hls": b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{path}\n#EXT-X-ENDLIST\n",
    "hls data": b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\ndata:video/mp4;base64,AAAA\n",
    "concat": b"ffconcat version 1.0\nfile '{path}'\nduration 2\n",
    "dash": b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period>'
    b"<BaseURL>file://{path}</BaseURL></Period></MPD>",
    "asx": b'<asx version="3.0"><entry><ref href="file://{path}"/></entry></asx>',
    "ram": b"file://{path}\n",
    "sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\n"
    b"a=rtpmap:96 H264/90000\n",
    "image list": b"P6 192 128 255\n",
    "tee": b"concat:{path}|{path}",
    "subfile": b"subfile,,start,0,end,0,,:{path}",
}


@pytest.mark.parametrize("kind", _PLAYLISTS)
@pytest.mark.parametrize("backend", ["pyav", "decord"])
def test_a_file_that_names_another_is_no_way_to_it(
    tmp_path: Path, decode: Decode, mp4: bytes, kind: str, backend: str
) -> None:
    if backend == "decord" and not decord_is_installed():
        pytest.skip("decord has no build for this platform")
    secret = _written(tmp_path / "secret.mp4", mp4)
    text = _PLAYLISTS[kind].replace(b"{path}", str(secret).encode())
    for name in ("upload", "upload.m3u8", "upload.mp4", "upload.ffconcat", "upload.sdp"):
        with pytest.raises(NotAVideo):
            decode(_written(tmp_path / name, text), settings=MediaSettings(backend=backend))


def test_a_movie_that_keeps_its_pictures_in_another_file_is_no_way_to_it(
    tmp_path: Path, decode: Decode, mp4: bytes
) -> None:
    _written(tmp_path / "secret.mp4", mp4)
    moov = mp4[mp4.index(b"moov") - 4 :]
    # A data reference that is not "in this file", with an alias instead of a URL.
    outside = moov.replace(b"url \x00\x00\x00\x01", b"ali" + b"s\x00\x00\x00\x00")
    assert outside != moov
    with pytest.raises(DublError):
        decode(_written(tmp_path / "outside.mov", mp4[: mp4.index(b"mdat") - 4] + outside))


@pytest.mark.parametrize("backend", ["pyav", "decord"])
@pytest.mark.parametrize(
    "front", [b"#EXTM3U\n", b"ffconcat version 1.0\n", b"%PDF-1.4\n", b"GIF89a"]
)
def test_a_polyglot_is_decoded_as_the_video_that_it_is_or_refused(
    tmp_path: Path, decode: Decode, mp4: bytes, front: bytes, backend: str
) -> None:
    if backend == "decord" and not decord_is_installed():
        pytest.skip("decord has no build for this platform")
    try:
        clip: FrameClip = decode(
            _written(tmp_path / "both.mp4", front + mp4), settings=MediaSettings(backend=backend)
        )
    except MediaError:
        return
    assert clip.facts.backend == "pyav"


def test_a_video_that_is_an_archive_too_is_a_video(
    tmp_path: Path, decode: Decode, mp4: bytes
) -> None:
    path = _written(tmp_path / "both.mp4", mp4)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../etc/passwd", "x" * 1000)
    assert len(decode(path).frames) == 4


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
