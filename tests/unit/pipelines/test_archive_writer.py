"""Claims about the one writer of an indexing job."""

from __future__ import annotations

import pickle
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dubl.contract.orders import ReferenceChange
from dubl.errors import StoreUnavailable
from dubl.index.keys import read_keys
from dubl.index.store import LibraryStore
from dubl.rights.terms import Action, Rights
from dubl.types import VideoFacts
from pipelines import archive_writer
from pipelines.archive_source import ArchiveItem
from pipelines.archive_writer import ArchiveWriter
from tests.unit.index.videos import SETTINGS, SOUND, SPEC, entry, sound_of

FACTS = VideoFacts(
    duration_s=20,
    width=320,
    height=180,
    rotation_deg=0,
    codec="h264",
    container="mp4",
    frame_rate_hz=25,
    backend="pyav",
)


def described(name: str, seed: int = 0) -> dict[str, object]:
    """A row of the embedding stage."""
    made = entry(name, seed=seed)
    return {
        "item": pickle.dumps(ArchiveItem(id=name, path=f"/videos/{name}")),
        "source": pickle.dumps(made.source),
        "facts": pickle.dumps(FACTS),
        "features": pickle.dumps(made.features),
        "error": b"",
        "present": 0,
        "elsewhere": 0,
        "passed_over": 0,
    }


def refused(name: str) -> dict[str, object]:
    problem = pickle.dumps(("not_a_video", "no media file"))
    return described(name) | {"source": b"", "facts": b"", "features": b"", "error": problem}


@pytest.fixture
def store(tmp_path: Path) -> LibraryStore:
    return LibraryStore(str(tmp_path / "library"), spec=SPEC, settings=SETTINGS)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of four megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this user may not mount a small file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(place: Path) -> None:
    """Writes until it cannot."""
    with place.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 12))


def test_a_batch_is_written_when_it_is_full_and_the_rest_at_the_end(store: LibraryStore) -> None:
    writer = ArchiveWriter(store, library="main", batch_videos=3)
    for number in range(4):
        writer.add(described(f"{number}.mp4", number))
    assert len(store.list().items) == 3
    writer.flush()
    assert len(store.list().items) == 4
    assert writer.counts.registered == 4
    (reference,) = store.existing(ids=["3.mp4"])
    assert reference.metadata == {"width": 320, "height": 180}


def test_large_features_do_not_wait_for_others(
    store: LibraryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_writer, "BATCH_BYTES", 1)
    ArchiveWriter(store, library="main", batch_videos=100).add(described("film.mp4"))
    assert len(store.list().items) == 1


def test_attempts_are_counted_and_a_success_forgets_the_failure(store: LibraryStore) -> None:
    for attempt in (1, 2):
        writer = ArchiveWriter(store, library="main", batch_videos=100)
        writer.add(refused("a.mp4"))
        writer.add(refused("b.mp4"))
        writer.flush()
        failures = {failure.path: failure for failure in store.failures()}
        assert {failure.attempts for failure in failures.values()} == {attempt}
        assert failures["/videos/a.mp4"].code == "not_a_video"
    writer.add(described("a.mp4"))
    writer.flush()
    assert [failure.path for failure in store.failures()] == ["/videos/b.mp4"]


def test_a_full_disk_stops_the_job_and_loses_nothing_that_was_written(small_disk: Path) -> None:
    uri = str(small_disk / "library")
    store = LibraryStore(uri, spec=SPEC, settings=SETTINGS)
    writer = ArchiveWriter(store, library="main", batch_videos=1)
    writer.add(described("before.mp4"))
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space left"):
        fill(filler)
    with pytest.raises(StoreUnavailable, match="No space left"):
        writer.add(described("after.mp4"))
    (kept,) = LibraryStore(uri, spec=SPEC, settings=SETTINGS, read_only=True).list().items
    assert kept.id == "before.mp4"
    assert list(store.read_features(["before.mp4"])) == ["before.mp4"]

    filler.unlink()
    restarted = LibraryStore(uri, spec=SPEC, settings=SETTINGS)
    writer = ArchiveWriter(restarted, library="main", batch_videos=1)
    for name in ("before.mp4", "after.mp4"):
        writer.add(described(name))
    assert (writer.counts.registered, writer.counts.repeated) == (1, 1)
    assert restarted.tables.frames.count_rows() == 40


def test_rights_of_the_list_are_those_of_the_reference(store: LibraryStore) -> None:
    writer = ArchiveWriter(store, library="films", batch_videos=10)
    item = ArchiveItem(id="a", path="/videos/a", rights={"action": "track", "min_copied_s": "3"})
    writer.add(described("a") | {"item": pickle.dumps(item)})
    writer.flush()
    assert store.get("a").rights == Rights(action=Action.TRACK, min_copied_s=3.0)


def test_a_candidates_space_is_filled_with_what_is_registered(
    store: LibraryStore, tmp_path: Path
) -> None:
    answering = LibraryStore(str(tmp_path / "answering"), spec=SPEC, settings=SETTINGS)
    answering.register([entry("a")])
    answering.update("a", ReferenceChange(title="changed since"))
    writer = ArchiveWriter(store, library="main", batch_videos=9, answering=answering)
    for name in ("a", "deleted"):
        writer.add(described(name))
    writer.flush()
    assert (writer.counts.registered, writer.counts.left_out, writer.counts.done) == (1, 1, 2)
    assert store.list() == answering.list()


def test_references_from_before_there_was_sound_take_theirs(tmp_path: Path) -> None:
    uri = str(tmp_path / "library")
    deaf = ArchiveWriter(
        LibraryStore(uri, spec=SPEC, settings=SETTINGS), library="main", batch_videos=9
    )
    for number, name in enumerate(("a", "changed")):
        deaf.add(described(name, number))
    deaf.flush()
    store = LibraryStore(uri, spec=SPEC, sound=SOUND, settings=SETTINGS)
    known = read_keys(store.tables, SOUND)
    writer = ArchiveWriter(store, library="main", batch_videos=9, known=known)
    for name in ("a", "changed"):
        row = described(name)
        heard = replace(pickle.loads(row["features"]), sound=sound_of(1))
        file = pickle.loads(row["source"])
        file = file if name == "a" else replace(file, sha256="other bytes")
        writer.add(row | {"features": pickle.dumps(heard), "source": pickle.dumps(file)})
    writer.flush()
    assert (writer.counts.heard, writer.counts.left_out, writer.counts.registered) == (1, 1, 0)
    read = store.read_features(["a", "changed"])
    assert read["a"].sound is not None
    assert read["changed"].sound is None
    assert read["a"].timestamps_s.shape == (20,)
    assert read_keys(store.tables, SOUND).unheard.size == 1
