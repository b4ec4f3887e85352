"""Commands over the real HTTP layer and a service in memory: answers, exit codes, words."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from dubl.contract.orders import CheckOrder
from dubl.errors import NoVideoStream
from dubl.types import Check, JobKind, JobState, Outcome, ReferenceDraft
from pipelines.cli.main import ENTRIES, app
from tests.support.fake_service import MATCH, NEW, OLD, FakeService
from tests.support.http_server import serving

LINK = "https://example.org/clips/a.mp4"


@pytest.fixture
def service(tmp_path: Path) -> FakeService:
    return FakeService(tmp_path / "data", prompt=True)


@pytest.fixture
def address(service: FakeService) -> Iterator[str]:
    with serving(service.app()) as address:
        yield address


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "кот.mp4"
    path.write_bytes(bytes(range(256)))
    return path


def run(address: str, *arguments: str) -> Result:
    environment = {"DUBL_URL": address, "DUBL_API_KEY": ""}
    return CliRunner().invoke(app, list(arguments), env=environment)


def test_the_exit_code_tells_the_outcome(address: str, service: FakeService, video: Path) -> None:
    assert run(address, "check", str(video)).exit_code == 10
    service.matches = ()
    assert run(address, "check", str(video)).exit_code == 0
    assert run(address, "check", str(video.with_name("none.mp4"))).exit_code == 2
    assert run(address, "check").exit_code == 2
    service.ends = NoVideoStream("only audio in a.mp3")
    failed = run(address, "check", str(video))
    assert failed.exit_code == 1
    assert "no_video_stream: only audio in a.mp3" in failed.output


def test_a_folder_is_checked_and_a_zip_is_told_where_to_go(address: str, video: Path) -> None:
    video.with_name("b.mp4").write_bytes(b"b")
    video.with_name("notes.txt").write_text("no video")
    answer = run(address, "check", str(video.parent), "--json")
    assert len(answer.stdout.splitlines()) == 2
    archive = video.with_name("batch.zip")
    archive.write_bytes(b"PK")
    refused = run(address, "check", str(archive))
    assert refused.exit_code == 2
    assert "is a zip. Unpack it" in refused.stderr
    (video.parent / "empty").mkdir()
    assert run(address, "check", str(video.parent / "empty")).exit_code == 2


def test_a_match_that_a_person_must_look_at_has_its_own_code(
    address: str, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict_on = service.verdict_on

    def doubtful(order: CheckOrder) -> Check:
        check = verdict_on(order)
        verdict = dataclasses.replace(check.verdict, outcome=Outcome.REVIEW)
        return dataclasses.replace(check, verdict=verdict)

    monkeypatch.setattr(service, "verdict_on", doubtful)
    assert run(address, "check", LINK).exit_code == 11


def test_the_answer_is_a_table_or_a_json_object_a_line(address: str, video: Path) -> None:
    shown = run(address, "check", str(video), "--library", "films").output
    assert "0.0-8.0" in shown
    assert MATCH.reference_id in shown
    lines = run(address, "check", str(video), LINK, "--json").stdout.splitlines()
    answers = [json.loads(line) for line in lines]
    assert [one["matches"][0]["reference_id"] for one in answers] == [MATCH.reference_id] * 2


def test_one_bad_video_does_not_keep_the_others_from_their_answers(
    address: str, service: FakeService, video: Path
) -> None:
    service.bad = frozenset({0})
    answer = run(address, "check", str(video), LINK, "--json")
    assert f"{video}: no_video_stream" in answer.stderr
    assert len(answer.stdout.splitlines()) == 1
    assert answer.exit_code == 10
    service.matches = ()
    service.bad = frozenset({2})
    assert run(address, "check", str(video), LINK).exit_code == 1


def test_an_absent_file_does_not_keep_the_others_from_their_answers(
    address: str, video: Path
) -> None:
    absent = str(video.with_name("none.mp4"))
    answer = run(address, "check", absent, str(video), "--json")
    assert f"{absent}: source_not_found" in answer.stderr
    assert len(answer.stdout.splitlines()) == 1


def test_a_name_that_is_no_utf8_is_checked_like_any_other(address: str, video: Path) -> None:
    odd = os.fsdecode(os.fsencode(video.parent) + b"/b\xff.mp4")
    Path(odd).write_bytes(video.read_bytes())
    answer = run(address, "check", odd, str(video), "--json")
    assert answer.exit_code == 10, answer.output
    assert len(answer.stdout.splitlines()) == 2


def test_a_name_that_is_no_utf8_is_registered_like_any_other(address: str, video: Path) -> None:
    odd = os.fsdecode(os.fsencode(video.parent) + b"/b\xff.mp4")
    Path(odd).write_bytes(video.read_bytes())
    answer = run(address, "references", "add", odd, str(video), "--json")
    assert answer.exit_code == 0, answer.output
    titles = [json.loads(line)["title"] for line in answer.stdout.splitlines()]
    assert titles == [r"b\xff", "кот"]
    absent = run(address, "references", "add", odd.replace("b", "c"))
    assert "does not exist" in absent.output


def test_the_library_is_added_to_listed_edited_and_deleted(address: str, video: Path) -> None:
    added = run(address, "references", "add", str(video), "--id", "cat", "--owner", "Mosfilm")
    assert added.exit_code == 0, added.output
    assert "Mosfilm" in added.output
    (listed,) = run(address, "references", "list", "--json").stdout.splitlines()
    assert json.loads(listed)["title"] == "кот"
    edited = run(address, "references", "edit", "cat", "--title", "Кошка")
    assert json.loads(edited.stdout)["title"] == "Кошка"
    assert "main" in run(address, "references", "libraries").output
    assert run(address, "references", "delete", "cat").exit_code == 0
    gone = run(address, "references", "show", "cat")
    assert gone.exit_code == 1
    assert "not_found" in gone.output
    assert run(address, "references", "add", str(video), "--metadata", "[1").exit_code == 2


def test_a_folder_is_added_video_by_video(address: str, video: Path) -> None:
    (video.parent / "notes.txt").write_text("not a video")
    (video.parent / "deep").mkdir()
    (video.parent / "deep" / "b.MKV").write_bytes(b"b")
    added = run(address, "references", "add", str(video.parent), "--json")
    titles = [json.loads(line)["title"] for line in added.stdout.splitlines()]
    assert titles == ["b", "кот"]


def test_jobs_are_listed_and_cancelled(address: str, service: FakeService) -> None:
    job = service.put("many", kind=JobKind.BATCH, state=JobState.QUEUED)
    (listed,) = run(address, "jobs", "list", "--json").stdout.splitlines()
    assert json.loads(listed)["id"] == job.id
    assert run(address, "jobs", "cancel", job.id).output == f"cancelled {job.id}\n"
    refused = run(address, "jobs", "requeue", job.id)
    assert refused.exit_code == 1
    assert "state_conflict" in refused.output


def test_a_decision_is_made_by_command(address: str) -> None:
    check = json.loads(run(address, "check", LINK, "--json").stdout)["id"]
    said = run(address, "reviews", "decide", check, MATCH.reference_id, "rejected", "--note", "no")
    assert said.output.startswith("rejected: ")
    (entry,) = run(address, "reviews", "history", "--check", check, "--json").stdout.splitlines()
    assert json.loads(entry)["note"] == "no"
    assert run(address, "reviews", "decide", check, MATCH.reference_id, "maybe").exit_code == 2


def test_a_decision_of_another_person_is_not_overwritten_in_silence(address: str) -> None:
    check = json.loads(run(address, "check", LINK, "--json").stdout)["id"]
    decide = ("reviews", "decide", check, MATCH.reference_id)
    assert run(address, *decide, "confirmed", "--reviewer", "anna").exit_code == 0
    refused = run(address, *decide, "rejected")
    assert refused.exit_code == 1
    assert "state_conflict: the match is confirmed by now, by anna" in refused.stderr
    assert run(address, *decide, "licensed", "--if-state", "confirmed").exit_code == 0
    assert run(address, *decide, "rejected", "--force").exit_code == 0
    assert run(address, *decide, "reopened").exit_code == 0


def test_the_queue_is_filtered_and_decided_as_a_whole_by_command(address: str) -> None:
    check = json.loads(run(address, "check", LINK, "--json").stdout)["id"]
    chosen = ("--reference", MATCH.reference_id, "--min-probability", "0.9")
    (item,) = run(address, "reviews", "queue", *chosen, "--json").stdout.splitlines()
    assert json.loads(item)["check_id"] == check
    assert run(address, "reviews", "queue", "--name", "nosuch", "--json").stdout == ""
    assert run(address, "reviews", "queue", "--sort", "doubtful", "--since", "2099").exit_code == 0
    assert run(address, "reviews", "queue", "--since", "tomorrow").exit_code == 1
    shown = run(address, "reviews", "decide-all", "confirmed", *chosen)
    assert "1 matches. Add --yes to decide" in shown.stderr
    assert run(address, "reviews", "queue", "--state", "confirmed", "--json").stdout == ""
    done = run(address, "reviews", "decide-all", "confirmed", *chosen, "--yes")
    assert done.stdout == "confirmed: 1 matches\n"
    again = ("reviews", "decide-all", "reopened", *chosen, "--state", "confirmed", "--yes")
    assert run(address, *again).stdout == "reopened: 1 matches\n"


def test_checks_are_found_by_command(address: str) -> None:
    check = json.loads(run(address, "check", LINK, "--json").stdout)
    for chosen in (
        ("--name", check["query_name"][-6:].upper()),
        ("--sha256", check["query_sha256"][:9]),
        ("--outcome", check["outcome"], "--since", check["created_at"][:10]),
    ):
        (found,) = run(address, "checks", "list", *chosen, "--json").stdout.splitlines()
        assert json.loads(found)["id"] == check["id"], chosen
    assert run(address, "checks", "list", "--name", "nosuch", "--json").stdout == ""
    assert run(address, "checks", "list", "--library", "nosuch").exit_code == 1


def test_what_is_stored_of_a_name_or_hash_is_listed_and_then_erased(
    address: str, service: FakeService
) -> None:
    check = json.loads(run(address, "check", LINK, "--json").stdout)
    service.library.add(ReferenceDraft(id="spare", library="main", title="Anna's film"))
    assert run(address, "erase").exit_code == 2
    listed = run(address, "erase", "--sha256", check["query_sha256"], "--json")
    assert json.loads(listed.stdout.splitlines()[0])["result"] == "found"
    assert service.ledger.get_check(check["id"]).id == check["id"], "it is only listed"
    (found,) = run(address, "erase", "--name", "Anna's", "--yes", "--json").stdout.splitlines()
    assert json.loads(found)["result"] == "erased"
    assert "spare" not in service.library.references
    assert run(address, "checks", "hold", check["id"]).exit_code == 0
    held = run(address, "erase", "--check", check["id"], "--yes")
    assert (held.exit_code, "kept: " in held.stdout) == (1, True)
    assert run(address, "checks", "release", check["id"]).exit_code == 0
    assert run(address, "erase", "--check", check["id"], "--yes").exit_code == 0
    assert run(address, "erase", "--check", check["id"]).stderr.startswith("check_not_found")


def test_decisions_become_thresholds_by_command(address: str, service: FakeService) -> None:
    service.judge("films")
    tried = run(address, "calibrate", "films", "--dry-run")
    assert "40 decisions, 9 of them copies: nothing was changed" in tried.output
    assert service.ledger.policies.current() == {}
    told = json.loads(run(address, "calibrate", "films", "--json").stdout)
    assert told["adopted"]
    assert service.ledger.policies.current()["films"].decisions == told["decisions"] == 40
    few = run(address, "calibrate", "films", "--least-decisions", "50")
    assert few.exit_code == 1
    assert "invalid_request" in few.output


def test_a_data_folder_has_no_decisions_to_calibrate_by(tmp_path: Path) -> None:
    few = CliRunner().invoke(app, ["calibrate", "films", "--data", str(tmp_path)], env={})
    assert few.exit_code == 1
    assert "0 decided matches" in few.output


def test_every_command_loads_and_has_its_help() -> None:
    for entry in ENTRIES:
        shown = CliRunner().invoke(app, [entry.name, "--help"])
        assert shown.exit_code == 0, (entry.name, shown.output)
        assert "Usage" in shown.output


def test_asking_a_service_loads_no_ray_no_torch_and_no_library() -> None:
    script = """
import sys
from typer.testing import CliRunner
from pipelines.cli.main import app
assert CliRunner().invoke(app, ["--help"]).exit_code == 0
assert not {"httpx", "rich.progress", "pydantic"} & sys.modules.keys()
arguments = ["references", "list", "--url", "http://127.0.0.1:9"]
assert CliRunner().invoke(app, arguments).exit_code == 1
print(sorted({"ray", "torch", "lancedb", "duckdb", "openvino"} & sys.modules.keys()))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_a_shell_is_offered_the_options_of_a_command() -> None:
    environment = {"_DUBL_COMPLETE": "complete_bash", "COMP_WORDS": "dubl check --l"}
    shown = CliRunner().invoke(app, [], env={**environment, "COMP_CWORD": "2"}, prog_name="dubl")
    assert "--library" in shown.output


def test_a_check_is_held_released_and_deleted(address: str, video: Path) -> None:
    (answer,) = run(address, "check", str(video), "--json").stdout.splitlines()
    check_id = json.loads(answer)["id"]
    assert run(address, "checks", "hold", check_id, "--reason", "case 7").exit_code == 0
    (held,) = run(address, "checks", "holds", "--json").stdout.splitlines()
    assert (json.loads(held)["check_id"], json.loads(held)["reason"]) == (check_id, "case 7")
    refused = run(address, "checks", "delete", check_id)
    assert (refused.exit_code, refused.stderr.split(":")[0]) == (1, "state_conflict")
    for command in ("release", "delete"):
        assert run(address, "checks", command, check_id).exit_code == 0
    assert run(address, "checks", "delete", check_id).stderr.startswith("check_not_found")
    assert run(address, "checks", "holds", "--json").stdout == ""


def test_a_space_is_filled_switched_in_and_rolled_back(address: str, service: FakeService) -> None:
    service.compare()
    old, new = run(address, "spaces", "list", "--json").stdout.splitlines()
    assert (json.loads(old)["answers"], json.loads(new)["missing"]) == (True, 2)
    listed = run(address, "spaces", "list", "--since", "2026-01-31T18:00+03:00").stdout
    assert "duplicate > unique: 2" in listed
    later = run(address, "spaces", "list", "--since", "2026-01-31T18:01+03:00").stdout
    assert "duplicate > unique" not in later
    assert run(address, "spaces", "list", "--since", "noon").exit_code == 1
    lacked = run(address, "spaces", "missing", NEW).stdout
    assert (
        lacked
        == "id,path,library,source\nref-1,/films/1.mp4,main,/films/1.mp4\nref-2,,main,upload.mp4\n"
    )
    refused = run(address, "spaces", "switch", NEW)
    assert (refused.exit_code, refused.stderr.split(":")[0]) == (1, "state_conflict")
    service.library.lacking.clear()
    told = run(address, "spaces", "switch", NEW, "--note", "better").stdout
    assert told == f"{NEW} answers now; before it: {OLD}\n"
    assert run(address, "spaces", "rollback").stdout == f"{OLD} answers now; before it: {NEW}\n"
    newest, first = run(address, "spaces", "list", "--history").stdout.splitlines()[1:]
    assert "rollback" in newest
    assert "better" in first
