"""Sound is read beside the pictures, on their clock; odd tracks harm nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from dubl.errors import MediaError, NoVideoStream, VideoTooLong, VideoTooShort
from dubl.media.bands import SAMPLE_RATE_HZ, STEP_S, bands_of
from dubl.media.decoder import FileDecoder
from dubl.media.sandbox import SandboxedDecoder
from dubl.settings import MediaSettings
from dubl.types import Note, Sampling, SoundClip
from tests.support.sounding_clip import Samples, Track, melody, write_clip, write_track
from tests.unit.media.clips import source_of

SAMPLING = Sampling(rate_hz=2.0, min_frames=4, frame_size=64, sound=True)
SETTINGS = MediaSettings()
SONG = melody(4.0, seed=1)

# Container and codec of the track.
FILES = {
    "mp4 aac": ("mp4", "aac"),
    "mkv aac": ("mkv", "aac"),
    "mov pcm": ("mov", "pcm_s16le"),
    "mkv opus": ("mkv", "libopus"),
    "mkv flac": ("mkv", "flac"),
    "avi mp3": ("avi", "libmp3lame"),
    "ts mp2": ("ts", "mp2"),
    "ts aac": ("ts", "aac"),
    "asf wma": ("asf", "wmav2"),
    "mpeg mp2": ("mpg", "mp2"),
}


@pytest.fixture(scope="module")
def confined() -> Iterator[SandboxedDecoder]:
    with SandboxedDecoder(SETTINGS) as decoder:
        yield decoder


def heard(path: Path, settings: MediaSettings = SETTINGS) -> SoundClip | None:
    return FileDecoder(settings).decode(source_of(path), sampling=SAMPLING).sound


def end_s(sound: SoundClip) -> float:
    return sound.start_s + len(sound.bands) * sound.step_s


def expected(samples: Samples, rate_hz: int = 44100) -> np.ndarray:
    """Levels of the samples, resampled plainly."""
    times = np.arange(0, len(samples) / rate_hz, 1 / SAMPLE_RATE_HZ)
    return bands_of(np.interp(times, np.arange(len(samples)) / rate_hz, samples).astype(np.float32))


def offset_s(sound: SoundClip, levels: np.ndarray) -> float:
    """Seconds by which the loudness of `sound` lags behind that of `levels`."""
    ours, theirs = (rows.mean(axis=1) - rows.mean() for rows in (sound.bands * 1.0, levels * 1.0))
    lags = np.correlate(ours, theirs, mode="full")
    return (int(lags.argmax()) - len(theirs) + 1) * STEP_S


@pytest.mark.parametrize("name", FILES)
def test_sound_of_every_container_is_heard_on_the_clock_of_the_pictures(
    name: str, tmp_path: Path
) -> None:
    suffix, codec = FILES[name]
    rate_hz = 48000 if codec == "libopus" else 44100
    song = melody(4.0, seed=1, rate_hz=rate_hz)
    path = write_clip(tmp_path / f"a.{suffix}", [Track(samples=song, rate_hz=rate_hz, codec=codec)])
    sound = heard(path)
    assert sound is not None
    assert abs(end_s(sound) - 4.0) < 0.15
    levels = expected(song, rate_hz)
    assert abs(offset_s(sound, levels)) <= 2 * STEP_S
    count = min(len(levels), len(sound.bands))
    assert np.corrcoef(sound.bands[:count].ravel(), levels[:count].ravel())[0, 1] > 0.85


@pytest.mark.parametrize("start_s", [0.0, 3.0])
def test_a_late_track_keeps_its_place_and_a_gap_is_silent(tmp_path: Path, start_s: float) -> None:
    song = melody(3.0, seed=1)
    gap = (44100, 1.0)
    late = Track(samples=song, late_s=0.8, gap=gap, codec="pcm_s16le")
    sound = heard(write_clip(tmp_path / "a.mkv", [late], seconds=5.0, start_s=start_s))
    assert sound is not None
    levels = sound.bands.max(axis=1)
    at = np.arange(len(levels)) * STEP_S
    assert not levels[at < 0.6].any()
    assert not levels[(at > 2.0) & (at < 2.6)].any()
    assert (levels[(at > 1.0) & (at < 1.7)] > 0).all()
    assert abs(end_s(sound) - 4.8) < 0.1


def test_a_drift_of_the_track_is_followed_by_its_time_stamps(tmp_path: Path) -> None:
    song = melody(10.0, seed=1)
    gaps = Track(samples=song, codec="pcm_s16le", gap=(5 * 44100, 0.09))
    sound = heard(write_clip(tmp_path / "a.mkv", [gaps], seconds=10.0))
    assert sound is not None
    levels = expected(song)
    late = replace(sound, bands=sound.bands[150:])
    assert abs(offset_s(late, levels[150:]) - 0.09) <= STEP_S


def test_no_track_or_no_wish_gives_no_sound(tmp_path: Path) -> None:
    assert heard(write_clip(tmp_path / "a.mp4", [])) is None
    path = write_clip(tmp_path / "b.mp4", [Track(samples=SONG)])
    plain = FileDecoder(SETTINGS).decode(source_of(path), sampling=replace(SAMPLING, sound=False))
    assert plain.sound is None


def test_pictures_are_the_same_with_and_without_sound(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "b.mp4", [Track(samples=SONG)])
    one, other = (
        FileDecoder(SETTINGS).decode(source_of(path), sampling=replace(SAMPLING, sound=sound))
        for sound in (False, True)
    )
    assert np.array_equal(one.frames, other.frames)
    assert one.facts == other.facts


def test_a_silent_track_is_heard_as_silence(tmp_path: Path) -> None:
    sound = heard(write_clip(tmp_path / "a.mkv", [Track(samples=SONG * 0, codec="flac")]))
    assert sound is not None
    assert not sound.bands.any()


def test_of_several_tracks_the_default_is_heard_then_the_one_with_most_channels(
    tmp_path: Path,
) -> None:
    other = melody(4.0, seed=2)
    levels = expected(other)
    default = [Track(samples=SONG, layout="stereo"), Track(samples=other, default=True)]
    several = [Track(samples=SONG), Track(samples=other, layout="stereo")]
    for number, tracks in enumerate((default, several)):
        sound = heard(write_clip(tmp_path / f"{number}.mkv", tracks))
        assert sound is not None
        count = min(len(levels), len(sound.bands))
        assert np.corrcoef(sound.bands[:count].ravel(), levels[:count].ravel())[0, 1] > 0.85


@pytest.mark.parametrize(
    "track",
    [
        Track(samples=SONG, layout="7.1", codec="pcm_s16le"),
        Track(samples=SONG, rate_hz=384_000, codec="pcm_s32le"),
        Track(samples=SONG[:400], rate_hz=1, codec="pcm_s16le"),
        Track(samples=SONG[:1], codec="pcm_s16le"),
        Track(samples=SONG, layout="5.1", codec="ac3", rate_hz=48000),
        Track(samples=SONG, codec="pcm_u8", rate_hz=8000),
        Track(samples=SONG * np.float32(1e30), codec="pcm_f32le"),
        Track(samples=np.full(44100, np.nan, np.float32), codec="pcm_f32le"),
    ],
    ids=["7.1", "384 kHz", "1 Hz", "one sample", "5.1", "8 bits", "huge", "not a number"],
)
def test_an_odd_track_gives_an_answer(
    track: Track, tmp_path: Path, confined: SandboxedDecoder
) -> None:
    path = write_clip(tmp_path / "a.mkv", [track])
    clip = confined.decode(source_of(path), sampling=SAMPLING)
    assert len(clip.frames) >= 4
    if clip.sound is not None:
        assert end_s(clip.sound) < 40


def test_a_broken_track_leaves_the_pictures(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mkv", [Track(samples=SONG, codec="libmp3lame")])
    whole = FileDecoder(SETTINGS).decode(source_of(path), sampling=SAMPLING)
    raw = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    for at in rng.integers(len(raw) // 3, len(raw), 400):
        raw[at] ^= 0xFF
    path.write_bytes(raw)
    clip = FileDecoder(SETTINGS).decode(source_of(path), sampling=SAMPLING)
    assert len(clip.frames) > 0
    assert whole.sound is not None


def test_a_track_longer_than_the_picture_ends_at_the_limit(tmp_path: Path) -> None:
    long = Track(samples=melody(9.0, seed=1))
    path = write_clip(tmp_path / "a.mp4", [long], seconds=2.0)
    sound = heard(path)
    assert sound is not None
    assert abs(end_s(sound) - 9.0) < 0.15
    short = heard(path, SETTINGS.model_copy(update={"max_duration_s": 5.0}))
    assert short is not None
    assert end_s(short) == pytest.approx(5.0)


def test_sound_passes_the_confined_process_unchanged(
    tmp_path: Path, confined: SandboxedDecoder
) -> None:
    path = write_clip(tmp_path / "a.mp4", [Track(samples=SONG, layout="stereo")])
    own = heard(path)
    theirs = confined.decode(source_of(path), sampling=SAMPLING).sound
    assert own is not None
    assert theirs is not None
    assert np.array_equal(own.bands, theirs.bands)
    assert own.step_s == theirs.step_s


def test_decord_hears_the_same(tmp_path: Path) -> None:
    pytest.importorskip("decord")
    path = write_clip(tmp_path / "a.mp4", [Track(samples=SONG)])
    own = heard(path)
    other = heard(path, SETTINGS.model_copy(update={"backend": "decord"}))
    assert own is not None
    assert other is not None
    assert np.array_equal(own.bands, other.bands)


def test_sound_of_a_joined_recording_lies_at_its_pictures_though_its_format_changes(
    tmp_path: Path,
) -> None:
    other = melody(4.0, seed=2, rate_hz=48000)
    one = Track(samples=SONG, codec="mp2")
    two = Track(samples=other, codec="mp2", rate_hz=48000, layout="stereo")
    first, second = (
        write_clip(tmp_path / f"{number}.ts", [track]) for number, track in enumerate((one, two))
    )
    joined = tmp_path / "joined.ts"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    sound = heard(joined)
    assert sound is not None
    assert abs(end_s(sound) - 8.0) < 0.3
    part = replace(sound, bands=sound.bands[100:])
    assert abs(offset_s(part, expected(other, 48000))) <= 3 * STEP_S


def write_song(path: Path, seconds: float, *, codec: str = "aac", rate_hz: int = 44100) -> Path:
    """A file of sound alone."""
    track = Track(samples=melody(seconds, seed=1, rate_hz=rate_hz), codec=codec, rate_hz=rate_hz)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate_hz, layout=track.layout)
        write_track(container, stream, track)
    return path


ALONE = replace(SAMPLING, sound_alone=True)


@pytest.mark.parametrize("suffix", ["m4a", "mka", "mov"])
def test_a_file_of_sound_alone_is_a_clip_without_frames(
    suffix: str, confined: SandboxedDecoder, tmp_path: Path
) -> None:
    path = write_song(tmp_path / f"song.{suffix}", 4.0)
    clip = confined.decode(source_of(path), sampling=ALONE)
    assert clip.frames.shape == (0, 64, 64, 3)
    assert clip.facts.notes == (Note.SOUND_ALONE,)
    assert clip.facts.duration_s == pytest.approx(4.0, abs=0.1)
    assert clip.sound is not None
    assert abs(offset_s(clip.sound, expected(SONG))) < 0.1
    (part,) = confined.parts(source_of(path), sampling=replace(ALONE, part_rows=2))
    assert part.sound is not None
    with pytest.raises(NoVideoStream):
        confined.decode(source_of(path), sampling=SAMPLING)


@pytest.mark.parametrize(("seconds", "error"), [(0.2, VideoTooShort), (9.0, VideoTooLong)])
def test_sound_alone_is_held_to_the_limits_of_videos(
    seconds: float, error: type[MediaError], tmp_path: Path
) -> None:
    settings = MediaSettings(min_duration_s=0.5, max_duration_s=6.0)
    path = write_song(tmp_path / "song.mka", seconds)
    with pytest.raises(error):
        FileDecoder(settings).decode(source_of(path), sampling=ALONE)


def test_a_file_whose_sound_is_not_heard_either_is_refused(tmp_path: Path) -> None:
    path = write_song(tmp_path / "low.mka", 2.0, codec="pcm_s16le", rate_hz=1000)
    with pytest.raises(NoVideoStream):
        FileDecoder(SETTINGS).decode(source_of(path), sampling=ALONE)


def test_a_cut_file_of_sound_alone_serves_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = write_song(tmp_path / "song.mka", 8.0).read_bytes()
    cut = tmp_path / "cut.mka"
    cut.write_bytes(whole[: len(whole) // 2])
    clip = FileDecoder(SETTINGS).decode(source_of(cut), sampling=ALONE)
    assert 2.0 < clip.facts.duration_s < 6.0
