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

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("_joined")]


def run_job(archive: Path, data: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipelines.index_archive", str(archive), "--data", str(data)]
    return subprocess.run([*command, *options], capture_output=True, text=True, check=False)


def summary_of(result: subprocess.CompletedProcess[str]) -> dict[str, object]:
    assert result.stdout, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture
def archive(tmp_path: Path, clips: Clips) -> Path:
    folder = tmp_path / "archive"
    (folder / "сезон 1").mkdir(parents=True)
    first, second, third = clips.references
    (folder / first.name).write_bytes(first.read_bytes())
    (folder / "сезон 1" / second.name).write_bytes(second.read_bytes())
    (folder / "same bytes.mp4").write_bytes(first.read_bytes())
    (folder / third.name).write_bytes(third.read_bytes())
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mkv").write_bytes(b"this is not a video" * 50)
    (folder / "notes.txt").write_bytes(b"not looked at")
    return folder


def test_an_archive_is_indexed_once_whatever_is_in_it(archive: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    result = run_job(archive, data, "--max-failure-rate", "0.5")
    assert result.returncode == 0, result.stderr
    summary = summary_of(result)
    assert (summary["found"], summary["registered"]) == (6, 3)
    assert (summary["same_as_another"], summary["failed"]) == (1, 2)

    store = make_store(load_settings(overrides=[f"data_dir={data}"], environment={}))
    ids = {reference.id for reference in store.list(limit=10).items}
    assert any(identifier.startswith("сезон 1/") for identifier in ids)
    failures = {Path(failure.path).name: failure.code for failure in store.failures()}
    assert failures == {"empty.mp4": "empty_file", "text.mkv": "not_a_video"}

    (archive / "list.txt").write_text("same bytes.mp4\nempty.mp4\nsame bytes.mp4\nnone.mp4\n")
    again = summary_of(run_job(archive / "list.txt", data, "--max-failure-rate", "0.5"))
    assert (again["found"], again["registered"], again["failed"]) == (4, 0, 2)
    assert {reference.id for reference in store.list(limit=10).items} == ids
    attempts = {Path(failure.path).name: failure.attempts for failure in store.failures()}
    assert attempts == {"empty.mp4": 2, "text.mkv": 1, "none.mp4": 1}


def test_too_many_failures_fail_the_job_after_all_is_written(archive: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    result = run_job(archive, data, "--max-failure-rate", "0.1")
    assert result.returncode == 1
    assert "2 of 6 videos failed" in result.stderr
    assert summary_of(result)["registered"] == 3

    elsewhere = tmp_path / "moved"
    archive.rename(elsewhere)
    again = run_job(elsewhere, data, "--max-failure-rate", "1")
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
