"""A service with keys, copied while it runs, and a fresh one made from the copy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from pipelines.local_server import running_server
from tests.integration.conftest import Clips
from tests.support.service import WAIT

pytestmark = pytest.mark.slow


def dubl(*arguments: str, key: str = "", url: str = "") -> subprocess.CompletedProcess[str]:
    """The `dubl` command, as a user runs it."""
    return subprocess.run(
        [sys.executable, "-c", "from pipelines.cli.main import app; app()", *arguments],
        env={**os.environ, "DUBL_API_KEY": key, "DUBL_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )


def as_user(address: str, key: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {key}", **WAIT} if key else WAIT
    return httpx.Client(base_url=address, headers=headers, timeout=180)


def ask(client: httpx.Client, path: Path, route: str, **fields: str) -> httpx.Response:
    with path.open("rb") as file:
        return client.post(route, files={"file": (path.name, file)}, data=fields)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keyed") / "data"


def test_keys_rule_a_service_and_a_copy_of_it_answers_alike(clips: Clips, data: Path) -> None:
    admin = dubl("keys", "create", "root", "--scope", "admin", "--data", str(data)).stdout.strip()
    copied, restored = data.parent / "copy", data.parent / "restored"
    overrides = ["access.keys=required"]
    with running_server(data, overrides=overrides) as address:
        with as_user(address, "") as stranger:
            assert stranger.get("/healthz").status_code == 200
            assert stranger.get("/v1/references").status_code == 401
            assert ask(stranger, clips.references[0], "/v1/checks").status_code == 401
        arguments = ["keys", "create", "studio", "--scope", "register", "--scope", "check"]
        studio = dubl(*arguments, "--library", "films", key=admin, url=address).stdout.strip()
        with as_user(address, studio) as client:
            made = ask(client, clips.references[0], "/v1/references", id="one", library="films")
            assert made.status_code == 201, made.text
            elsewhere = ask(client, clips.references[1], "/v1/references", id="two")
            assert elsewhere.status_code == 403
            verdict = ask(client, clips.queries("recode")[0], "/v1/checks").json()
            assert verdict["libraries"] == ["films"]
            assert "RateLimit" in client.get("/v1/checks").headers
            assert client.get("/v1/keys").status_code == 403
        held = dubl("backup", str(copied), "--data", str(data))
        assert held.returncode == 1
        assert "--url" in held.stderr
        saved = dubl("backup", str(copied), "--data", str(data), key=admin, url=address)
        assert saved.returncode == 0, saved.stderr
        listed = dubl("keys", "list", key=admin, url=address).stdout.splitlines()
        assert [json.loads(line)["name"] for line in listed] == ["root", "studio"]

    assert dubl("restore", str(copied), "--data", str(restored)).returncode == 0
    with running_server(restored, overrides=overrides) as address:
        with as_user(address, studio) as client:
            assert client.get("/v1/references/one").json() == made.json()
            assert client.get(f"/v1/checks/{verdict['id']}").json() == verdict
            again = ask(client, clips.queries("recode")[0], "/v1/checks").json()
            assert (again["outcome"], again["matches"]) == (verdict["outcome"], verdict["matches"])
        gone = dubl("keys", "revoke", studio.split("_")[1], key=admin, url=address)
        assert gone.returncode == 0, gone.stderr
        with as_user(address, studio) as client:
            assert client.get("/v1/checks").status_code == 401
