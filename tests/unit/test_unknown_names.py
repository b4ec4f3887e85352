"""Every unknown name is an error with a code, over HTTP and at the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from pipelines.cli.main import app
from tests.support.fake_service import FakeService
from tests.support.http_server import serving

LINK = "https://example.org/a.mp4"
MATCH = {"check_id": "none", "reference_id": "none", "decision": "confirmed"}
ASKED: list[tuple[str, str, object, str]] = [
    ("POST", "/v1/checks?library=nosuch", {"link": LINK}, "library_not_found"),
    ("POST", "/v1/checks", {"link": LINK, "library": "nosuch"}, "library_not_found"),
    ("POST", "/v1/batches", {"links": [LINK], "library": "nosuch"}, "library_not_found"),
    ("GET", "/v1/references?library=nosuch", None, "library_not_found"),
    ("GET", "/v1/references/none", None, "reference_not_found"),
    ("PATCH", "/v1/references/none", {"title": "a"}, "reference_not_found"),
    ("DELETE", "/v1/references/none", None, "reference_not_found"),
    ("GET", "/v1/checks/none", None, "check_not_found"),
    ("DELETE", "/v1/checks/none", None, "check_not_found"),
    ("GET", "/v1/checks/none/nearest", None, "check_not_found"),
    ("GET", "/v1/checks/none/matches/none/evidence", None, "check_not_found"),
    ("PUT", "/v1/checks/none/hold", {}, "check_not_found"),
    ("POST", "/v1/reviews", MATCH, "check_not_found"),
    ("GET", "/v1/jobs/none", None, "job_not_found"),
    ("GET", "/v1/jobs?batch=none", None, "job_not_found"),
    ("DELETE", "/v1/jobs/none", None, "job_not_found"),
    ("POST", "/v1/deliveries/none/replay", None, "not_found"),
    ("DELETE", "/v1/keys/none", None, "key_not_found"),
    ("GET", "/v1/libraries/nosuch/duplicates", None, "not_found"),
    ("GET", "/v1/libraries/nosuch/policy", None, "library_not_found"),
    ("DELETE", "/v1/libraries/nosuch/policy", None, "library_not_found"),
    ("POST", "/v1/libraries/nosuch/calibrate", {}, "library_not_found"),
    ("POST", "/v1/spaces/switch", {"space_id": "none"}, "not_found"),
]
COMMANDS: list[tuple[list[str], str]] = [
    (["check", LINK, "--library", "nosuch"], "library_not_found"),
    (["references", "list", "--library", "nosuch"], "library_not_found"),
    (["references", "show", "none"], "reference_not_found"),
    (["references", "delete", "none"], "reference_not_found"),
    (["reviews", "decide", "none", "none", "confirmed"], "check_not_found"),
    (["jobs", "requeue", "none"], "job_not_found"),
    (["jobs", "list", "--batch", "none"], "job_not_found"),
    (["jobs", "cancel", "none"], "job_not_found"),
    (["checks", "delete", "none"], "check_not_found"),
    (["keys", "revoke", "none"], "key_not_found"),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    service = FakeService(tmp_path_factory.mktemp("data"), prompt=True)
    with serving(service.app()) as address:
        yield address


@pytest.mark.parametrize(("method", "path", "body", "code"), ASKED)
def test_over_http(address: str, method: str, path: str, body: object, code: str) -> None:
    answer = httpx.request(method, address + path, json=body, headers={"Prefer": "wait=5"})
    assert (answer.json().get("code"), answer.status_code) == (code, 404)


@pytest.mark.parametrize(("arguments", "code"), COMMANDS)
def test_at_the_command_line(address: str, arguments: list[str], code: str) -> None:
    answer = CliRunner().invoke(app, arguments, env={"DUBL_URL": address, "DUBL_API_KEY": ""})
    assert answer.exit_code == 1, answer.output
    assert answer.stderr.startswith(f"{code}: ") or f": {code}: " in answer.stderr
    assert not answer.stdout


COMMANDS_ON_A_FOLDER = [["check", "a.mp4"], ["references", "list"], ["reviews", "queue"]]


@pytest.mark.parametrize("arguments", COMMANDS_ON_A_FOLDER)
def test_a_mistyped_data_folder_is_told_and_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.mp4").write_bytes(b"video")
    answer = CliRunner().invoke(app, [*arguments, "--data", "dta"], env={"DUBL_URL": ""})
    assert answer.exit_code == 2
    assert answer.stderr.startswith(
        f"configuration_error: there is no data folder '{tmp_path}/dta'. "
    )
    assert not Path("dta").exists()


def test_a_folder_that_is_named_wins_over_the_address_in_the_environment(tmp_path: Path) -> None:
    service = {"DUBL_URL": "http://127.0.0.1:9", "DUBL_API_KEY": ""}
    list_folder = ["references", "list", "--data", str(tmp_path)]
    assert CliRunner().invoke(app, list_folder, env=service).exit_code == 0
    both = CliRunner().invoke(app, [*list_folder, "--url", "http://127.0.0.1:9"])
    assert both.exit_code == 2
    assert "name either --url or --data" in both.stderr


def test_an_empty_library_is_a_warning_and_an_exit_code(tmp_path: Path) -> None:
    service = FakeService(tmp_path / "data", prompt=True)
    service.matches, service.searched = (), 0
    with serving(service.app()) as address:
        environment = {"DUBL_URL": address, "DUBL_API_KEY": ""}
        answer = CliRunner().invoke(app, ["check", LINK, "--json"], env=environment)
    assert json.loads(answer.stdout)["searched"] == {"references": 0, "libraries": []}
    assert "was compared with nothing: no reference is in any library. " in answer.stderr
    assert answer.exit_code == 1


def test_a_key_for_an_empty_library_is_told(address: str) -> None:
    environment = {"DUBL_URL": address, "DUBL_API_KEY": ""}
    make = ["keys", "create", "uploads", "--scope", "check", "--library", "nosuch"]
    answer = CliRunner().invoke(app, make, env=environment)
    assert answer.exit_code == 0
    assert "warning: no reference is in library nosuch. " in answer.stderr
