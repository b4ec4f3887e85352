"""Files whose clock starts anew, jumps or wraps: pictures come at the times that players show."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dubl.errors import VideoTooComplex
from dubl.footage.video_file import Encoding
from dubl.media import containers
from dubl.media.decoder import FileDecoder
from dubl.settings import MediaSettings
from dubl.types import Note, Sampling
from tests.support.numbered_clip import numbered_frame, read_frame_number, write_numbered_clip
from tests.unit.media.clips import FRAME_RATE_HZ, Decode, source_of

PART = 100  # pictures
CODED = {
    "ts": Encoding(codec="h264", keyframe_interval=30),
    "ts, b-frames": Encoding(codec="h264", b_frames=3, keyframe_interval=30),
    "vob": None,  # MPEG-2
    "flv": Encoding(codec="h264", keyframe_interval=30),
    "mkv, b-frames": Encoding(codec="h264", b_frames=3, keyframe_interval=30),
    "webm": Encoding(codec="vp9", keyframe_interval=30),
}
TICK = Fraction(1, 90_000)


FLV_HEADER_BYTES = 13


def joined(path: Path, kind: str, *, starts_s: tuple[float, ...]) -> Path:
    """Parts of PART pictures each, byte behind byte; each clock begins at its start.

    Parts of FLV but the first have no header, as a recorder leaves them that goes on.
    """
    file = path / f"joined.{kind.partition(',')[0]}"
    content = b""
    for part, start_s in enumerate(starts_s):
        one = path / f"{part}{file.suffix}"
        write_part(one, CODED[kind], start_s, part * PART)
        content += one.read_bytes()[FLV_HEADER_BYTES if content and kind == "flv" else 0 :]
    file.write_bytes(content)
    return file


def write_part(path: Path, encoding: Encoding | None, start_s: float, first_number: int) -> None:
    if encoding is None:
        write_vob(path, start_s, first_number)
        return
    write_numbered_clip(
        path,
        frames=PART,
        frame_rate=FRAME_RATE_HZ,
        encoding=encoding,
        start_offset_s=start_s,
        first_number=first_number,
    )


def write_vob(path: Path, start_s: float, first_number: int) -> None:
    with av.open(str(path), "w", format="vob") as container:
        stream = container.add_stream("mpeg2video", rate=FRAME_RATE_HZ)
        stream.width, stream.height, stream.pix_fmt = 192, 128, "yuv420p"
        for place in range(PART):
            picture = av.VideoFrame.from_ndarray(numbered_frame(first_number + place))
            picture.pts = place + round(start_s * FRAME_RATE_HZ)
            container.mux(stream.encode(picture.reformat(format="yuv420p")))
        container.mux(stream.encode(None))


def require_shown(decode: Decode, path: Path, *, parts: int) -> None:
    """Every picture has the time of its number."""
    clip = decode(path)
    numbers = [read_frame_number(frame) for frame in clip.frames]
    assert clip.facts.duration_s == pytest.approx(parts * PART / FRAME_RATE_HZ, abs=0.05)
    assert clip.timestamps_s.tolist() == pytest.approx(np.array(numbers) / FRAME_RATE_HZ, abs=0.05)
    assert len(clip.frames) == parts * PART / FRAME_RATE_HZ * 2
    assert (clip.facts.damaged, Note.JOINED in clip.facts.notes) == (False, parts > 1)


@pytest.mark.parametrize("kind", CODED)
def test_a_clock_that_starts_anew_hides_nothing(decode: Decode, tmp_path: Path, kind: str) -> None:
    require_shown(decode, joined(tmp_path, kind, starts_s=(0.0, 0.0)), parts=2)


@pytest.mark.parametrize("parts", [3, 4])
@pytest.mark.parametrize("kind", CODED)
def test_any_number_of_files_may_be_joined(
    decode: Decode, tmp_path: Path, kind: str, parts: int
) -> None:
    starts_s = (0.0, 2.0, 0.0, 2.0)[:parts]
    require_shown(decode, joined(tmp_path, kind, starts_s=starts_s), parts=parts)


def test_joined_recordings_that_tell_no_sizes_are_read_to_the_end(
    decode: Decode, tmp_path: Path
) -> None:
    one = tmp_path / "one.webm"
    with av.open(str(one), "w", options={"live": "1"}) as container:
        stream = container.add_stream("libvpx-vp9", rate=FRAME_RATE_HZ)
        stream.width, stream.height, stream.pix_fmt = 192, 128, "yuv420p"
        for number in range(PART):
            frame = av.VideoFrame.from_ndarray(numbered_frame(number), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    path = tmp_path / "joined.webm"
    path.write_bytes(one.read_bytes() * 4)
    whole, clip = decode(one), decode(path)
    assert clip.facts.duration_s == pytest.approx(4 * whole.facts.duration_s, abs=0.2)
    numbers = [read_frame_number(frame) for frame in clip.frames]
    assert sum(np.diff(numbers) < 0) == 3


def test_players_show_the_first_of_joined_mp4_files(decode: Decode, tmp_path: Path) -> None:
    one = tmp_path / "one.mp4"
    write_part(one, CODED["ts"], 0.0, 0)
    path = tmp_path / "joined.mp4"
    path.write_bytes(one.read_bytes() * 3)
    require_shown(decode, path, parts=1)


def test_too_many_joined_files_are_refused(
    decode: Decode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "MAX_JOINED", 3)
    path = joined(tmp_path, "webm", starts_s=(0.0,) * 5)
    with pytest.raises(VideoTooComplex):
        decode(path)


@pytest.mark.parametrize("kind", CODED)
def test_a_clock_that_jumps_makes_no_video_longer(
    decode: Decode, tmp_path: Path, kind: str
) -> None:
    require_shown(decode, joined(tmp_path, kind, starts_s=(0.0, 20_000.0)), parts=2)


@pytest.mark.parametrize("kind", ["ts, b-frames", "vob", "flv"])
def test_a_clock_that_jumps_and_comes_back_is_laid_end_to_end(
    decode: Decode, tmp_path: Path, kind: str
) -> None:
    require_shown(decode, joined(tmp_path, kind, starts_s=(0.0, 20_000.0, 4.0)), parts=3)


@pytest.mark.parametrize("start_s", [-3.0, 2.0])
def test_a_clock_that_overlaps_is_laid_end_to_end(
    decode: Decode, tmp_path: Path, start_s: float
) -> None:
    require_shown(decode, joined(tmp_path, "ts", starts_s=(3.0, 3.0 + start_s)), parts=2)


def test_a_clock_that_wraps_goes_on(decode: Decode, tmp_path: Path) -> None:
    end_s = float(2**33 * TICK)
    path = tmp_path / "wraps.ts"
    write_numbered_clip(
        path, frames=PART, frame_rate=25, encoding=CODED["ts"], start_offset_s=end_s - 3.4
    )
    require_shown(decode, path, parts=1)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
def test_a_picture_that_stays_on_screen_is_no_jump(
    decode: Decode, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"slides.{suffix}"
    times_s = (0.0, 30.0, 60.0, 61.0)
    write_numbered_clip(path, frames=4, frame_rate=25, encoding=Encoding(), times_s=times_s)
    clip = decode(path)
    assert not clip.facts.notes
    assert clip.facts.duration_s == pytest.approx(61.0, abs=1.1)


def test_rows_of_single_instants_come_from_every_part(tmp_path: Path) -> None:
    path = joined(tmp_path, "ts, b-frames", starts_s=(0.0, 0.0))
    sampling = Sampling(rate_hz=1.0, min_frames=1, frame_size=96, times_s=(1.0, 3.0, 5.0, 7.0))
    clip = FileDecoder(MediaSettings()).decode(source_of(path), sampling=sampling)
    assert [read_frame_number(frame) for frame in clip.frames] == [25, 75, 125, 175]


@pytest.mark.parametrize("at_s", [1.0, 5.0, 7.0])
def test_a_still_comes_from_every_part(tmp_path: Path, at_s: float) -> None:
    path = joined(tmp_path, "ts", starts_s=(0.0, 0.0))
    sampling = Sampling(rate_hz=1.0, min_frames=1, frame_size=96, still_at_s=at_s)
    clip = FileDecoder(MediaSettings()).decode(source_of(path), sampling=sampling)
    assert read_frame_number(clip.frames[0]) == pytest.approx(at_s * FRAME_RATE_HZ, abs=1)
