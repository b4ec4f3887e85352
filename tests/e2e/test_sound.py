"""What sound adds to the picture, over HTTP: covers and songs, edits, and videos without sound.

Pictures and songs are made in code.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dubl import Check, Client, Rights
from dubl.assembly import make_store
from dubl.footage.clips import Clip, cut, drawn, open_clip, write_clip
from dubl.footage.scenes import generate_library
from dubl.footage.sounds import RATE_HZ as SOUND_HZ
from dubl.footage.sounds import sound as made_sound
from dubl.index.keys import read_keys
from dubl.local.client import LocalClient
from dubl.settings import Settings, load_settings
from dubl.types import Uint8Array
from pipelines.archive_source import open_archive
from pipelines.archive_stages import DecodeStage, EmbedStage, packs
from pipelines.archive_writer import ArchiveWriter
from tests.conftest import SHARED
from tests.support.in_process import running_app

pytestmark = pytest.mark.slow

SIZE, RATE_HZ = (320, 180), 12.0
WITHOUT = {"id", "created_at", "timings_ms", "index_version", "query_name", "context"}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    """Four films of 20 seconds."""
    folder = tmp_path_factory.mktemp("films")
    made = generate_library(folder, count=4, seed=5, size=SIZE, shortest_s=20, longest_s=21)
    return [open_clip(one, max_rate=RATE_HZ) for one in made]


def configured(folder: Path, *, sound: bool) -> Settings:
    chosen = [f"data_dir={folder}", f"sound.enabled={str(sound).lower()}"]
    return load_settings("configs/local.yaml", chosen, environment={})


@contextmanager
def served(folder: Path, *, sound: bool) -> Iterator[Client]:
    with running_app(configured(folder, sound=sound)) as address, Client(address) as client:
        yield client


@pytest.fixture(scope="module")
def dubl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with served(tmp_path_factory.mktemp("hearing"), sound=True) as client:
        yield client


@pytest.fixture(scope="module")
def deaf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with served(tmp_path_factory.mktemp("deaf"), sound=False) as client:
        yield client


def still(film: Clip, seconds: float, seed: int) -> Clip:
    """A cover: one picture of the film that stays, with the noise of a recording."""
    picture: Uint8Array = np.asarray(next(iter(cut(film, 10, 11).pictures())))

    def draw(time_s: float) -> Uint8Array:
        rng = np.random.default_rng([seed, round(time_s * RATE_HZ)])
        noise = rng.integers(-2, 3, picture.shape)
        return np.clip(picture.astype(np.int16) + noise, 0, 255).astype(np.uint8)

    return drawn(SIZE, RATE_HZ, seconds, draw)


def song(seed: int, seconds: float = 20.0) -> np.ndarray:
    return np.asarray(made_sound(seed, seconds), np.float32)


def video(path: Path, clip: Clip, sound: np.ndarray | None = None) -> Path:
    """A file with these pictures and this sound."""
    if sound is None:
        write_clip(path, clip)
        return path
    silent = path.with_suffix(".silent.mp4")
    write_clip(silent, clip)
    with av.open(str(silent)) as source, av.open(str(path), "w") as target:
        shown = source.streams.video[0]
        pictures = target.add_stream_from_template(shown)
        track = target.add_stream("aac", rate=SOUND_HZ, layout="mono")
        frame = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = SOUND_HZ, 0, Fraction(1, SOUND_HZ)
        for packet in source.demux(shown):
            if packet.dts is not None:
                packet.stream = pictures
                target.mux(packet)
        resampler = av.AudioResampler("fltp", "mono", SOUND_HZ, frame_size=1024)
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            target.mux(track.encode(part))
        target.mux(track.encode(None))
    silent.unlink()
    return path


def asked(
    dubl: Client, name: str, reference: Path, query: Path, rights: Rights | None = None
) -> Check:
    """The answer on a query, in a library that holds one reference."""
    dubl.register(reference, id=name, library=name, rights=rights)
    return dubl.check(query, libraries=[name])


def test_the_same_cover_with_another_song_goes_to_a_person(
    dubl: Client, films: list[Clip], tmp_path: Path
) -> None:
    reference = video(tmp_path / "r.mp4", still(films[0], 20, 1), song(1))
    query = video(tmp_path / "q.mp4", still(films[0], 20, 2), song(2))
    check = asked(dubl, "other-song", reference, query)
    assert check.outcome == "review"
    (match,) = check.matches
    assert (match.modality, match.sound) == ("video", "differs")
    assert match.sound_reason == "same picture, other sound"
    assert check.audio_matches == ()


def test_the_same_cover_with_the_same_song_is_a_duplicate(
    dubl: Client, films: list[Clip], tmp_path: Path
) -> None:
    reference = video(tmp_path / "r.mp4", still(films[0], 20, 1), song(1))
    query = video(tmp_path / "q.mp4", still(films[0], 15, 2), song(1)[3 * SOUND_HZ : 18 * SOUND_HZ])
    check = asked(dubl, "same-song", reference, query)
    assert check.outcome == "duplicate"
    assert (check.matches[0].modality, check.matches[0].sound) == ("both", "agrees")
    assert {one.modality for one in check.matches[0].segments} == {"both"}


def test_the_same_song_under_another_picture_is_found_and_is_no_copy(
    dubl: Client, films: list[Clip], tmp_path: Path
) -> None:
    reference = video(tmp_path / "r.mp4", films[0], song(1))
    query = video(tmp_path / "q.mp4", films[1], song(1))
    check = asked(dubl, "other-picture", reference, query)
    assert (check.outcome, check.matches) == ("unique", ())
    (heard,) = check.audio_matches
    assert (heard.reference_id, heard.modality) == ("other-picture", "audio")
    assert (heard.sound_reason, heard.rights.counts) == ("same sound, other picture", False)
    whole = heard.segments[0]
    assert whole.modality == "audio"
    assert whole.query_end_s - whole.query_start_s > 12
    assert abs(whole.query_start_s - whole.reference_start_s) < 1


def test_the_same_song_is_a_copy_where_its_owner_claims_the_sound(
    dubl: Client, films: list[Clip], tmp_path: Path
) -> None:
    reference = video(tmp_path / "r.mp4", films[0], song(1))
    query = video(tmp_path / "q.mp4", films[1], song(1))
    check = asked(dubl, "claimed", reference, query, Rights(modalities="both"))
    assert (check.outcome, check.audio_matches) == ("duplicate", ())
    assert check.matches[0].modality == "audio"


def test_a_copy_with_another_sound_is_a_duplicate_by_its_picture(
    dubl: Client, films: list[Clip], tmp_path: Path
) -> None:
    reference = video(tmp_path / "r.mp4", films[0], song(1))
    query = video(tmp_path / "q.mp4", films[0], song(2))
    check = asked(dubl, "dubbed", reference, query)
    assert check.outcome == "duplicate"
    assert (check.matches[0].modality, check.matches[0].sound) == ("video", "differs")


def test_videos_without_sound_get_the_answer_of_a_deaf_service(
    dubl: Client, deaf: Client, films: list[Clip], tmp_path: Path
) -> None:
    answers = []
    reference = video(tmp_path / "r.mp4", films[0])
    query = video(tmp_path / "q.mp4", cut(films[0], 24, 200))
    for client in (dubl, deaf):
        check = asked(client, "no-sound", reference, query)
        answers.append(json.loads(check.model_dump_json(exclude=WITHOUT)))
    assert answers[0] == answers[1]
    assert answers[0]["outcome"] == "duplicate"
    assert answers[0]["matches"][0]["sound"] is None


def indexed(settings: Settings, folder: Path, library: str) -> ArchiveWriter:
    """What the indexing job does with a folder, without Ray."""
    store = make_store(settings)
    known = read_keys(store.tables, store.sound)
    writer = ArchiveWriter(store, library=library, batch_videos=64, known=known)
    decode, embed = DecodeStage(settings, known, library), EmbedStage(settings)
    for table in packs(open_archive(str(folder)), known):
        for row in (one for pack in table.to_pylist() for one in decode(pack)):
            described = embed({name: [value] for name, value in row.items()})
            writer.add({name: values[0] for name, values in described.items()})
    writer.flush()
    return writer


def test_a_library_from_before_there_was_sound_takes_it_from_its_files(
    films: list[Clip], tmp_path: Path
) -> None:
    archive, data = tmp_path / "archive", tmp_path / "data"
    archive.mkdir()
    video(archive / "loud.mp4", films[0], song(1))
    video(archive / "silent.mp4", films[2])
    query = video(tmp_path / "q.mp4", films[1], song(1))
    before = indexed(configured(data, sound=False), archive, "old")
    assert (before.counts.registered, before.counts.heard) == (2, 0)

    with served(data, sound=True) as client:
        assert client.check(query, libraries=["old"]).audio_matches == ()
    listening = configured(data, sound=True)
    first, second = (indexed(listening, archive, "old").counts for _ in range(2))
    assert (first.heard, first.registered, first.present) == (2, 0, 0)
    assert (second.heard, second.registered, second.present) == (0, 0, 2)

    with served(data, sound=True) as client:
        check = client.check(query, libraries=["old"])
    assert check.outcome == "unique"
    assert [one.reference_id for one in check.audio_matches] == ["loud.mp4"]


COVERS = sorted((SHARED / "cases").glob("same_cover_*"))


@pytest.mark.parametrize("folder", COVERS, ids=lambda one: one.name)
@pytest.mark.parametrize("door", ["http", "folder", "index"])
def test_two_songs_with_one_cover_are_no_duplicates_by_any_door(
    folder: Path, door: str, dubl: Client, tmp_path: Path
) -> None:
    if door == "http":
        check = asked(dubl, folder.name, folder / "r.mp4", folder / "q.mp4")
        copy = dubl.check(folder / "r.mp4", libraries=[folder.name])
    else:
        settings = configured(tmp_path / "data", sound=True)
        if door == "index":
            archive = tmp_path / "archive"
            archive.mkdir()
            shutil.copy(folder / "r.mp4", archive)
            indexed(settings, archive, "covers")
        with LocalClient(tmp_path / "data", settings=settings) as local:
            if door == "folder":
                local.register(folder / "r.mp4", id="r.mp4", library="covers")
            check = local.check(folder / "q.mp4", libraries=["covers"])
            copy = local.check(folder / "r.mp4", libraries=["covers"])
    assert check.outcome in json.loads((folder / "case.json").read_text())["expected"].split("|")
    assert check.audio_matches == ()
    assert copy.outcome == "duplicate"
