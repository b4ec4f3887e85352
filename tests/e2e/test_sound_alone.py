"""Files of sound alone, such as songs: registered where their owner claims the sound, and checked.

By HTTP and by a folder, in this process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import httpx
import numpy as np
import pytest

from dubl import ApiError, Check, Client, DublError, Rights
from dubl.footage.scenes import generate_library
from dubl.footage.sounds import RATE_HZ, sound
from dubl.local.client import LocalClient
from dubl.settings import Settings, load_settings
from tests.support.in_process import running_app

Service = Client | LocalClient
CLAIMED = Rights(modalities="both")


def settings_of(folder: Path, *chosen: str) -> Settings:
    return load_settings("configs/local.yaml", [f"data_dir={folder}", *chosen], environment={})


@contextmanager
def service(door: str, settings: Settings) -> Iterator[Service]:
    if door == "folder":
        with LocalClient(settings.data_dir, settings=settings) as client:
            yield client
    else:
        with running_app(settings) as address, Client(address) as client:
            yield client


@pytest.fixture(scope="module", params=["folder", "http"])
def hearing(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("hearing")
    chosen = ("sound.enabled=true", "sound.modalities={songs: audio}")
    with service(request.param, settings_of(folder, *chosen)) as client:
        yield client


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    made = generate_library(folder, count=1, seed=5, size=(320, 180), shortest_s=20, longest_s=21)
    return made[0]


def song(path: Path, seed: int, *, start_s: float = 0.0, pictures: Path | None = None) -> Path:
    """A file with the song of this seed, and with the pictures of a film or with none."""
    samples = np.asarray(sound(seed, 20.0), np.float32)[int(start_s * RATE_HZ) :]
    with av.open(str(path), "w") as target:
        shown = None
        if pictures is not None:
            source = av.open(str(pictures))
            shown = target.add_stream_from_template(source.streams.video[0])
        track = target.add_stream("aac", rate=RATE_HZ, layout="mono")
        if shown is not None:
            with source:
                for packet in source.demux(source.streams.video[0]):
                    if packet.dts is not None:
                        packet.stream = shown
                        target.mux(packet)
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, 0, Fraction(1, RATE_HZ)
        resampler = av.AudioResampler("fltp", "mono", RATE_HZ, frame_size=1024)
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            target.mux(track.encode(part))
        target.mux(track.encode(None))
    return path


def refusal(call: Callable[[], object]) -> tuple[str, str]:
    """Code and hint of the error that a call ends with."""
    with pytest.raises((ApiError, DublError)) as caught:
        call()
    return caught.value.code, caught.value.hint


def the_match(check: Check) -> tuple[str, str, str]:
    (match,) = check.matches
    return check.outcome, match.reference_id, match.modality


def test_a_song_is_a_reference_and_an_excerpt_of_it_a_copy(
    hearing: Service, tmp_path: Path
) -> None:
    reference, excerpt = song(tmp_path / "r.m4a", 1), song(tmp_path / "q.mka", 1, start_s=4)
    hearing.register(reference, id="song", library="one", rights=CLAIMED)
    check = hearing.check(excerpt, libraries=["one"])
    assert the_match(check) == ("duplicate", "song", "audio")
    assert "sound_alone" in check.notes
    (segment,) = check.matches[0].segments
    assert segment.reference_start_s - segment.query_start_s == pytest.approx(4, abs=0.3)


def test_another_song_is_unique(hearing: Service, tmp_path: Path) -> None:
    hearing.register(song(tmp_path / "r.m4a", 1), id="first", library="two", rights=CLAIMED)
    check = hearing.check(song(tmp_path / "q.m4a", 2), libraries=["two"])
    assert (check.outcome, check.matches, check.audio_matches) == ("unique", (), ())


def test_a_film_with_the_song_is_a_copy_of_it_and_the_song_one_of_the_film_if_that_is_claimed(
    hearing: Service, film: Path, tmp_path: Path
) -> None:
    alone, shown = song(tmp_path / "a.m4a", 3), song(tmp_path / "b.mp4", 3, pictures=film)
    hearing.register(alone, id="alone", library="songs")  # whose library claims the sound
    assert the_match(hearing.check(shown, libraries=["songs"])) == ("duplicate", "alone", "audio")
    hearing.register(shown, id="claimed", library="three", rights=CLAIMED)
    assert the_match(hearing.check(alone, libraries=["three"])) == ("duplicate", "claimed", "audio")
    hearing.register(shown, id="shown", library="four")
    check = hearing.check(alone, libraries=["four"])
    assert (check.outcome, check.matches) == ("unique", ())
    assert [one.reference_id for one in check.audio_matches] == ["shown"]


def test_a_song_is_no_reference_where_nobody_claims_the_sound(
    hearing: Service, tmp_path: Path
) -> None:
    path = song(tmp_path / "r.m4a", 1)
    for rights in (None, Rights(modalities="video")):
        code, hint = refusal(partial(hearing.register, path, library="five", rights=rights))
        assert code == "no_video_stream"
        assert "modalities" in hint


@pytest.mark.parametrize("door", ["folder", "http"])
def test_without_sound_a_song_is_refused_with_a_hint(door: str, tmp_path: Path) -> None:
    path = song(tmp_path / "r.m4a", 1)
    with service(door, settings_of(tmp_path / "data")) as deaf:
        calls = (partial(deaf.check, path), partial(deaf.register, path, rights=CLAIMED))
        for code, hint in map(refusal, calls):
            assert code == "no_video_stream"
            assert "sound.enabled" in hint


def test_the_evidence_of_a_song_has_no_pictures(
    tmp_path: Path,
) -> None:
    settings = settings_of(tmp_path / "data", "sound.enabled=true", "evidence.keep=all")
    with running_app(settings) as address, Client(address) as client:
        client.register(song(tmp_path / "r.m4a", 1), id="song", rights=CLAIMED)
        check = client.check(song(tmp_path / "q.m4a", 1))
        place = f"{address}/v1/checks/{check.id}/matches/song/evidence"
        told = httpx.get(place)
        assert told.status_code == 200, told.text
        assert told.json()["pairs"] == []
        assert httpx.get(f"{place}/matrix", params={"stage": "sound"}).status_code == 200
        for stage in ("frames", "network"):
            missing = httpx.get(f"{place}/matrix", params={"stage": stage})
            assert (missing.status_code, missing.json()["code"]) == (404, "evidence_not_kept")
        assert httpx.get(f"{address}/v1/references/song/video").status_code == 200
