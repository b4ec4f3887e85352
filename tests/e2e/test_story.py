"""The reviewer's day by client and by command line, over true videos; in this process, no Ray."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from dubl.evaluation.attack_suite import SuiteOptions, write_suite
from dubl.evaluation.suite import QUERIES, REFERENCES, SuiteRoles
from dubl.footage.scenes import generate_library
from dubl.settings import load_settings
from pipelines.cli.main import app
from tests.support.in_process import running_app

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "reviewers_day.py"


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with films.zip (two), film, upload (a copy of film) and other (of one in the zip),
    all of them mp4."""
    folder = tmp_path_factory.mktemp("story")
    made = generate_library(
        folder / "made", count=3, seed=9, size=(320, 180), shortest_s=6, longest_s=8
    )
    options = SuiteOptions(edits=("trim:0.4",), per_reference=0)
    roles = SuiteRoles(references=tuple(made), strangers=())
    truth = write_suite(folder / "suite", roles, options=options)
    copies = {query.matches[0].reference: name for name, query in truth.queries.items()}
    with zipfile.ZipFile(folder / "films.zip", "w") as archive:
        for name in truth.references[:2]:
            archive.write(folder / "suite" / REFERENCES / name, name)
    film, other = truth.references[2], truth.references[0]
    (folder / "film").symlink_to(folder / "suite" / REFERENCES / film)
    (folder / "upload.mp4").symlink_to(folder / "suite" / QUERIES / copies[film])
    (folder / "other.mp4").symlink_to(folder / "suite" / QUERIES / copies[other])
    (folder / "two").mkdir()
    for name in truth.references[:2]:
        (folder / "two" / name).symlink_to(folder / "suite" / REFERENCES / name)
    return folder


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    settings = load_settings("configs/local.yaml", [f"data_dir={tmp_path}"], environment={})
    with running_app(settings) as address:
        yield address


def test_the_day_by_client(address: str, films: Path) -> None:
    names = ("films.zip", "film", "upload.mp4", "other.mp4")
    command = [sys.executable, str(EXAMPLE), address, *(str(films / name) for name in names)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    registered, found, rejected, intro, licensed, revoked = done.stdout.splitlines()
    assert registered == "registered: 2 by zip, and The film"
    assert found.startswith("upload.mp4 is duplicate, ")
    assert rejected.endswith("other.mp4 is unique")
    assert intro.endswith("upload.mp4 is unique")
    assert licensed.endswith("upload.mp4 is unique")
    assert revoked.endswith("upload.mp4 is duplicate")


def test_the_day_by_command_line_over_a_service(address: str, films: Path, tmp_path: Path) -> None:
    the_day(["--url", address], films, films / "films.zip")
    saved = run("backup", str(tmp_path / "saved"), "--data", str(tmp_path), "--url", address)
    assert saved.exit_code == 0, saved.output
    told = reported("--url", address, "--out", str(tmp_path / "report"))
    assert told == reported("--backup", str(tmp_path / "saved"), "--out", str(tmp_path / "report"))
    assert (told["checks"], told["duplicates"]) == (7, 4)


def test_the_day_by_command_line_in_a_data_folder(films: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    the_day(["--data", str(data)], films, films / "two")
    told = reported("--data", str(data), "--out", str(tmp_path / "report"))
    assert (told["checks"], told["duplicates"]) == (7, 4)
    assert told["false_duplicates"] == {"part": 1, "whole": 2}


def run(*arguments: str) -> Result:
    environment = {"DUBL_URL": "", "DUBL_API_KEY": ""}
    return CliRunner().invoke(app, [*arguments], env=environment)


def reported(*where: str) -> dict[str, Any]:
    done = run("report", *where, "--json")
    assert done.exit_code == 0, done.output
    figures: dict[str, Any] = json.loads(done.stdout)["figures"]
    return figures


def the_day(where: list[str], films: Path, archive: Path) -> None:
    def dubl(*arguments: str) -> Result:
        return run(*arguments, *where)

    def check(name: str, *arguments: str) -> tuple[int, dict[str, object]]:
        answer = dubl("check", str(films / name), "--json", *arguments)
        return answer.exit_code, json.loads(answer.stdout)

    added = dubl("references", "add", str(archive), "--owner", "Studio", "--json")
    assert len(added.stdout.splitlines()) == 2, added.output
    assert dubl("references", "add", str(films / "film"), "--id", "film").exit_code == 0

    frame = dubl("search", str(films / "film"), "--at", "2", "--json")
    assert json.loads(frame.stdout.splitlines()[0])["reference_id"] == "film"

    code, found = check("upload.mp4")
    assert code == 10
    (match,) = found["matches"]
    assert match["reference_id"] == "film"
    assert dubl("reviews", "decide", found["id"], "film", "confirmed").exit_code == 0

    _, doubted = check("other.mp4")
    wrong = doubted["matches"][0]["reference_id"]
    assert dubl("reviews", "decide", doubted["id"], wrong, "rejected").exit_code == 0
    assert check("other.mp4")[0] == 0
    assert dubl("reviews", "queue").output.count("other.mp4") == 0

    end_s = str(match["segments"][0]["reference_end_s"])
    assert dubl("references", "exclude", "film", "0", end_s, "--label", "intro").exit_code == 0
    assert check("upload.mp4")[0] == 0
    assert dubl("references", "include", "film").exit_code == 0
    assert dubl("references", "license", "film", "--territory", "DE").exit_code == 0
    assert check("upload.mp4", "--territory", "DE")[0] == 0
    assert check("upload.mp4", "--territory", "FR")[0] == 10
    assert dubl("references", "unlicense", "film").exit_code == 0
    assert check("upload.mp4", "--territory", "DE")[0] == 10
