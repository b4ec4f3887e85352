"""Both backends are held against clips whose pictures carry their number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

from dubl.errors import ConfigurationError, DecodeTimeout, NotAVideo
from dubl.footage.video_file import Encoding, TimedFrame, write_video
from dubl.media import decoder
from dubl.media.deadline import Deadline
from dubl.media.decoder import FileDecoder, decord_serves
from dubl.media.decord_backend import DecordReader
from dubl.media.pictures import Scaler
from dubl.media.probe import Probe, probe_file
from dubl.media.pyav_backend import PyAvReader
from dubl.media.readers import FrameReader, Reading
from dubl.media.sampling import plan_rows
from dubl.media.sandbox import SandboxedDecoder
from dubl.settings import MediaSettings
from dubl.types import Note, Sampling, Uint8Array
from tests.support.numbered_clip import numbered_frame, read_frame_number, write_numbered_clip
from tests.unit.media.clips import FRAMES, KINDS, Decode, NumberedFile, source_of, true_times

SETTINGS = MediaSettings()
SAMPLING = Sampling(rate_hz=2.0, min_frames=4, frame_size=96)
TRUE_TO_DECORD = sorted(
    name
    for name, kind in KINDS.items()
    if kind.encoding.codec in ("h264", "hevc", "vp9")
    and kind.suffix in ("mp4", "mov", "mkv", "webm")
    and not kind.encoding.rotation_deg
)
ClipOf = Callable[[str], NumberedFile]


def _probe(path: Path) -> Probe:
    return probe_file(str(path), settings=SETTINGS, deadline=Deadline(60))


def _read(reader: FrameReader, path: Path, sampling: Sampling = SAMPLING) -> Reading:
    probe = _probe(path)
    plan = plan_rows(probe.times_s, probe.duration_s, sampling=sampling)
    return reader.read(str(path), probe=probe, plan=plan, sampling=sampling, deadline=Deadline(60))


def _is_true(reading: Reading, clip: NumberedFile) -> bool:
    shown_s = true_times(reading.frames, clip.times_s)
    return reading.timestamps_s.tolist() == pytest.approx(shown_s, abs=2e-3)


@pytest.mark.parametrize(("level", "drawn", "blank"), [(0, 0, True), (200, 0, True), (0, 1, False)])
def test_a_video_without_any_picture_is_told(
    decode: Decode, tmp_path: Path, level: int, drawn: int, blank: bool
) -> None:
    """`drawn`: pictures that show something."""
    path, rng = tmp_path / "clip.mp4", np.random.default_rng(1)
    noise = [
        rng.integers(0, 4, (128, 192, 3)).astype(np.uint8) + np.uint8(level) for _ in range(50)
    ]
    shown = [numbered_frame(1)] * 25 * drawn + noise[25 * drawn :]
    frames = (TimedFrame(time_s=place / 25, image=one) for place, one in enumerate(shown))
    write_video(path, frames, frame_rate=25, encoding=Encoding())
    assert (Note.NOTHING_TO_SEE in decode(path).facts.notes) is blank


BLANKS: dict[str, Callable[[int], bool]] = {
    "a flash of .12 s where each row is": lambda number: number % 25 in (0, 1, 2, 12, 13, 14),
    "half of each second": lambda number: number % 25 >= 12 and number < 87,
    "all but the end of each half second": lambda number: number % 25 not in (8, 9, 10, 20, 21, 22),
    "one second of two": lambda number: 25 <= number < 50,
}


def _write_flashing(path: Path, is_blank: Callable[[int], bool], *, group: int = 30) -> None:
    """A numbered clip in which these pictures are white."""
    white = np.full((128, 192, 3), 255, np.uint8)
    shown = [white if is_blank(one) else numbered_frame(one) for one in range(FRAMES)]
    frames = (TimedFrame(time_s=place / 25, image=one) for place, one in enumerate(shown))
    write_video(path, frames, frame_rate=25, encoding=Encoding(keyframe_interval=group))


@pytest.mark.parametrize("group", [1, 30])
@pytest.mark.parametrize("blank", BLANKS.values(), ids=BLANKS)
def test_blank_pictures_in_a_rhythm_hide_nothing(
    decode: Decode, tmp_path: Path, blank: Callable[[int], bool], group: int
) -> None:
    """Each half second that shows something has a row, which is no blank one."""
    _write_flashing(tmp_path / "clip.mp4", blank, group=group)
    clip = decode(tmp_path / "clip.mp4")
    numbers = [read_frame_number(frame) for frame in clip.frames]
    assert clip.timestamps_s.tolist() == pytest.approx([one / 25 for one in numbers], abs=2e-3)
    halves = {(2 * number + 1) // 25 for number in range(FRAMES) if not blank(number)}
    assert {(2 * number + 1) // 25 for number in numbers} == halves
    assert not clip.facts.damaged


def _shade(level: int) -> Uint8Array:
    """A picture of two shades, so no blank one."""
    return (
        np.repeat(np.array([[level], [level + 60]], np.uint8), 64, axis=0)[..., None]
        .repeat(192, axis=1)
        .repeat(3, axis=2)
    )


@pytest.mark.parametrize("group", [1, 12, 250])
@pytest.mark.parametrize("pictures", [1, 3, 5])
def test_other_pictures_at_each_sampled_instant_hide_nothing(
    decode: Decode, tmp_path: Path, pictures: int, group: int
) -> None:
    """After the first row, which nothing comes before, all rows show the film."""
    shown = [_shade(180 if (one + pictures // 2) % 12 < pictures else 20) for one in range(96)]
    frames = (TimedFrame(time_s=place / 24, image=one) for place, one in enumerate(shown))
    write_video(
        tmp_path / "clip.mp4", frames, frame_rate=24, encoding=Encoding(keyframe_interval=group)
    )
    clip = decode(tmp_path / "clip.mp4", rate_hz=2.0)
    assert len(clip.frames) == 8
    assert all(frame.mean() < 100 for frame in clip.frames[1:])
    assert clip.timestamps_s == pytest.approx(np.arange(8) / 2, abs=0.25)


def test_a_cut_at_a_sampled_instant_stays(decode: Decode, tmp_path: Path) -> None:
    frames = (
        TimedFrame(time_s=one / 24, image=_shade(20 if one < 24 else 180)) for one in range(96)
    )
    write_video(tmp_path / "clip.mp4", frames, frame_rate=24, encoding=Encoding())
    clip = decode(tmp_path / "clip.mp4", rate_hz=2.0)
    assert clip.timestamps_s == pytest.approx(np.arange(8) / 2, abs=2e-3)
    assert [bool(frame.mean() > 100) for frame in clip.frames] == [False] * 2 + [True] * 6


def test_a_long_pause_keeps_its_rows(decode: Decode, tmp_path: Path) -> None:
    _write_flashing(tmp_path / "clip.mp4", lambda number: 10 <= number < 90)
    assert len(decode(tmp_path / "clip.mp4").frames) == 8


def test_a_long_pause_is_not_searched_for_pictures(
    decode: Decode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write_flashing(tmp_path / "clip.mp4", lambda _: True)
    drawn: list[VideoFrame] = []
    draw = Scaler.draw

    def counted(self: Scaler, frame: VideoFrame) -> Uint8Array:
        drawn.append(frame)
        return draw(self, frame)

    monkeypatch.setattr(Scaler, "draw", counted)
    rows = len(decode(tmp_path / "clip.mp4", rate_hz=8.0).frames)
    assert rows == 32
    assert len(drawn) < rows + 4 * 8


@pytest.mark.parametrize("sparingly", [True, False])
@pytest.mark.parametrize("name", KINDS)
def test_pyav_gives_every_picture_its_true_time(
    clip_of: ClipOf, name: str, sparingly: bool
) -> None:
    clip = clip_of(name)
    reading = _read(PyAvReader(SETTINGS, sparingly=sparingly), clip.path)
    assert _is_true(reading, clip)
    targets = np.arange(len(reading.frames)) / SAMPLING.rate_hz
    assert np.all(np.abs(reading.timestamps_s - targets) <= 0.25)
    assert (reading.missing, reading.errors) == (0, 0)


@pytest.mark.parametrize("name", TRUE_TO_DECORD)
def test_decord_gives_every_picture_its_true_time_where_it_may_serve(
    clip_of: ClipOf, name: str
) -> None:
    clip = clip_of(name)
    assert decord_serves(_probe(clip.path), SAMPLING)
    assert _is_true(_read(DecordReader(SETTINGS), clip.path), clip)


@pytest.mark.parametrize("name", sorted(KINDS.keys() - set(TRUE_TO_DECORD)))
def test_decord_is_kept_from_everything_else(clip_of: ClipOf, name: str) -> None:
    assert not decord_serves(_probe(clip_of(name).path), SAMPLING)


@pytest.mark.parametrize("name", ["h264 avi", "av1 mp4", "h264 ts, b-frames"])
def test_decord_refuses_what_it_cannot_read_or_misreads(clip_of: ClipOf, name: str) -> None:
    with pytest.raises(NotAVideo):
        _read(DecordReader(SETTINGS), clip_of(name).path)


@pytest.mark.parametrize("name", ["h264 mp4", "hevc mp4", "vp9 webm"])
def test_both_backends_draw_the_same_picture(
    clip_of: ClipOf, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without stand-ins for flashes, which decord has none of."""
    monkeypatch.setattr("dubl.media.pyav_backend.MIN_DIFFERENCE", np.inf)
    path = clip_of(name).path
    readings = [
        _read(reader, path)
        for reader in (PyAvReader(SETTINGS, sparingly=False), DecordReader(SETTINGS))
    ]
    difference = readings[0].frames.astype(int) - readings[1].frames
    assert np.abs(difference).mean() < 1.0
    assert readings[0].timestamps_s == pytest.approx(readings[1].timestamps_s, abs=2e-3)


def test_passing_over_the_rest_of_a_group_changes_no_picture(tmp_path: Path) -> None:
    path = tmp_path / "groups.mp4"
    write_numbered_clip(path, frames=200, encoding=Encoding(keyframe_interval=10))
    sparing, full = (_read(PyAvReader(SETTINGS, sparingly=way), path) for way in (True, False))
    assert np.array_equal(sparing.frames, full.frames)
    assert np.array_equal(sparing.timestamps_s, full.timestamps_s)


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg2video"])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_open_groups_of_pictures_are_read_truly(tmp_path: Path, codec: str, suffix: str) -> None:
    path = tmp_path / f"open.{suffix}"
    times_s = _write_open_groups(path, codec)
    clip = NumberedFile(path=path, times_s=times_s)
    for sparingly in (True, False):
        assert _is_true(_read(PyAvReader(SETTINGS, sparingly=sparingly), path), clip)


def test_false_key_frame_marks_do_no_harm(clip_of: ClipOf, tmp_path: Path) -> None:
    clip = clip_of("h264 mp4")
    path = tmp_path / "all_keys.mp4"
    path.write_bytes(clip.path.read_bytes().replace(b"stss", b"free"))
    assert _is_true(_read(PyAvReader(SETTINGS), path), NumberedFile(path, clip.times_s))


def test_a_held_picture_gives_rows_while_it_stays(tmp_path: Path, decode: Decode) -> None:
    path = tmp_path / "slides.mp4"
    write_numbered_clip(path, frames=4, times_s=[0.0, 5.0, 5.5, 12.0])
    clip = decode(path, rate_hz=1.0)
    assert clip.timestamps_s.tolist() == [0, 1, 2, 3, 4, 5, 5.5, 7, 8, 9, 10, 11, 12]
    numbers = [read_frame_number(frame) for frame in clip.frames]
    assert numbers == [0, 0, 0, 0, 0, 1, 2, 2, 2, 2, 2, 2, 3]


def test_a_short_video_gives_the_least_number_of_frames(tmp_path: Path, decode: Decode) -> None:
    path = tmp_path / "short.mp4"
    write_numbered_clip(path, frames=25)
    clip = decode(path, rate_hz=1.0, min_frames=8)
    assert len(clip.frames) == 8
    assert clip.timestamps_s[-1] == pytest.approx(0.88)


@pytest.mark.parametrize(
    ("name", "rotation_deg", "size"),
    [
        ("turned 90 mp4", 90, (192, 128)),
        ("turned 180 mp4", 180, (192, 128)),
        ("h264 ts", 0, (192, 128)),
    ],
)
def test_facts_speak_of_the_upright_picture(
    clip_of: ClipOf, decode: Decode, name: str, rotation_deg: int, size: tuple[int, int]
) -> None:
    facts = decode(clip_of(name).path).facts
    assert (facts.width, facts.height) == size
    assert facts.rotation_deg == rotation_deg
    assert (facts.codec, facts.backend, facts.damaged) == ("h264", "pyav", False)
    assert facts.duration_s == pytest.approx(FRAMES / 25)
    assert facts.frame_rate_hz == pytest.approx(25)


def test_a_mirrored_video_is_mirrored_back(tmp_path: Path, decode: Decode) -> None:
    path = tmp_path / "selfie.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 192, 128, "yuv420p"
        stream.set_display_rotation(0, hflip=True)
        for number in range(25):
            image = np.ascontiguousarray(numbered_frame(number)[:, ::-1])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    clip = decode(path)
    assert [read_frame_number(frame) for frame in clip.frames] == [0, 6, 12, 19]


def test_cropped_pictures_have_the_asked_size(clip_of: ClipOf, decode: Decode) -> None:
    clip = decode(clip_of("turned 90 mp4").path, resize="crop", frame_size=224)
    assert clip.frames.shape[1:] == (224, 224, 3)


def test_the_asked_backend_serves_what_it_can(clip_of: ClipOf, decode: Decode) -> None:
    settings = MediaSettings(backend="decord")
    for name, backend in (("h264 mp4", "decord"), ("av1 mp4", "pyav"), ("h264 ts", "pyav")):
        assert decode(clip_of(name).path, settings=settings).facts.backend == backend


def test_pyav_takes_over_where_decord_gives_up(
    clip_of: ClipOf, decode: Decode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder, "decord_serves", lambda _probe, _sampling: True)
    clip = decode(clip_of("av1 mp4").path, settings=MediaSettings(backend="decord"))
    assert clip.facts.backend == "pyav"


def test_a_missing_decord_is_told_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "decord_is_installed", lambda: False)
    with pytest.raises(ConfigurationError):
        FileDecoder(MediaSettings(backend="decord"))


def test_decoding_ends_when_the_time_is_over(clip_of: ClipOf, decode: Decode) -> None:
    with pytest.raises(DecodeTimeout) as caught:
        decode(clip_of("h264 mp4").path, settings=MediaSettings(decode_timeout_s=1e-6))
    assert caught.value.context["name"] == "the h264_mp4.mp4"


def test_the_time_taken_is_told(clip_of: ClipOf, decode: Decode) -> None:
    assert decode(clip_of("h264 mp4").path).timings_ms["decode"] > 0


def _write_open_groups(path: Path, codec: str) -> tuple[float, ...]:
    """150 numbered pictures whose groups begin with B-frames that refer to the group before."""
    options = {
        "libx264": {
            "preset": "veryfast",
            "x264-params": "open-gop=1:keyint=20:bframes=3:scenecut=0",
        },
        "libx265": {
            "preset": "ultrafast",
            "x265-params": "log-level=none:pools=none:open-gop=1:keyint=20:bframes=3:scenecut=0",
        },
        "mpeg2video": {"qmin": "2", "qmax": "4"},
    }[codec]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 192, 128, "yuv420p"
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = 20, 3
        stream.codec_context.thread_count = 1
        for number in range(150):
            frame = av.VideoFrame.from_ndarray(numbered_frame(number), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return tuple(number / 25 for number in range(150))


def test_a_long_video_takes_no_more_memory_than_allowed_and_is_seen_to_its_end(
    clip_of: ClipOf,
) -> None:
    clip = clip_of("h264 mp4")
    frame_bytes = 3 * SAMPLING.frame_size**2
    settings = MediaSettings(frames_memory_bytes=6 * frame_bytes + 1)
    source = source_of(clip.path)
    whole = FileDecoder(SETTINGS).decode(source, sampling=SAMPLING)
    with SandboxedDecoder(settings) as bounded:
        thinned = bounded.decode(source, sampling=SAMPLING)
        chosen = bounded.decode(source, sampling=replace(SAMPLING, times_s=(0.5, 1.0, 1.5)))
    assert len(whole.frames) > len(thinned.frames) == 6
    assert thinned.timestamps_s[-1] > 0.75 * whole.facts.duration_s
    assert thinned.facts == whole.facts
    assert len(chosen.frames) == 3
