"""The Ray Data job: whole archives, bad files, restarts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dubl.assembly import make_store
from dubl.settings import load_settings
from tests.integration.conftest import Clips

pytestmark = pytest.mark.slow

Job = subprocess.CompletedProcess[str]


def run_job(archive: Path, data: Path, *options: str) -> Job:
    command = [sys.executable, "-m", "pipelines.index_archive", str(archive), "--data", str(data)]
    return subprocess.run([*command, *options], capture_output=True, text=True, check=False)


def summary_of(result: Job) -> dict[str, object]:
    assert result.stdout, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("indexed")


@pytest.fixture(scope="module")
def archive(folder: Path, clips: Clips) -> Path:
    archive = folder / "archive"
    (archive / "сезон 1").mkdir(parents=True)
    first, second, third = clips.references
    (archive / first.name).write_bytes(first.read_bytes())
    (archive / "сезон 1" / second.name).write_bytes(second.read_bytes())
    (archive / "same bytes.mp4").write_bytes(first.read_bytes())
    (archive / third.name).write_bytes(third.read_bytes())
    (archive / "empty.mp4").write_bytes(b"")
    (archive / "text.mkv").write_bytes(b"this is not a video" * 50)
    (archive / "notes.txt").write_bytes(b"not looked at")
    return archive


@pytest.fixture(scope="module")
def job(archive: Path, folder: Path, ray_address: str) -> Job:
    """The first one over the archive, into folder / "data"; a tenth of the videos may fail."""
    limit = ("--max-failure-rate", "0.1")
    return run_job(archive, folder / "data", *limit, "--address", ray_address)


def test_too_many_failures_fail_the_job_after_all_is_written(job: Job) -> None:
    assert job.returncode == 1
    assert "2 of 6 videos failed" in job.stderr
    assert summary_of(job)["registered"] == 3


def test_an_archive_is_indexed_once_whatever_is_in_it(
    job: Job, archive: Path, folder: Path, ray_address: str
) -> None:
    summary = summary_of(job)
    assert (summary["found"], summary["registered"]) == (6, 3)
    assert (summary["same_as_another"], summary["failed"]) == (1, 2)

    settings = load_settings(overrides=[f"data_dir={folder / 'data'}"], environment={})
    store = make_store(settings)
    ids = {reference.id for reference in store.list(limit=10).items}
    assert any(identifier.startswith("сезон 1/") for identifier in ids)
    failures = {Path(failure.path).name: failure.code for failure in store.failures()}
    assert failures == {"empty.mp4": "empty_file", "text.mkv": "not_a_video"}

    listing = archive / "list.txt"
    listing.write_text("same bytes.mp4\nempty.mp4\nsame bytes.mp4\nnone.mp4\n")
    options = ("--max-failure-rate", "0.5", "--address", ray_address)
    second = run_job(listing, folder / "data", *options)
    assert second.returncode == 0, second.stderr
    again = summary_of(second)
    assert (again["found"], again["registered"], again["failed"]) == (4, 0, 2)
    assert {reference.id for reference in store.list(limit=10).items} == ids
    attempts = {Path(failure.path).name: failure.attempts for failure in store.failures()}
    assert attempts == {"empty.mp4": 2, "text.mkv": 1, "none.mp4": 1}


@pytest.mark.usefixtures("job")
def test_an_archive_that_was_moved_is_known_and_said_to_be_elsewhere(
    archive: Path, folder: Path, ray_address: str
) -> None:
    elsewhere = archive.rename(folder / "moved")
    options = ("--max-failure-rate", "1", "--address", ray_address)
    again = run_job(elsewhere, folder / "data", *options)
    assert again.returncode == 0
    summary = summary_of(again)
    assert (summary["present_before"], summary["same_id_elsewhere"]) == (3, 3)
    assert summary["registered"] == 0
    assert "--id-prefix" in again.stderr


def test_a_missing_archive_is_said_plainly(tmp_path: Path) -> None:
    result = run_job(tmp_path / "none", tmp_path / "data")
    assert result.returncode == 2
    assert "source_not_found" in result.stderr
    assert "Traceback" not in result.stderr
