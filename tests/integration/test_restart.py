"""State survives a restart with the same data folder; SIGTERM ends the service cleanly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pipelines.local_server import running_server
from tests.integration.conftest import Clips
from tests.support.service import WAIT, Client

pytestmark = pytest.mark.slow


def _server_process(data: Path) -> psutil.Process:
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if "serve_app.main" in command and str(data) in command:
            return process
    raise AssertionError("the service does not run")


def test_a_restarted_service_knows_what_it_knew_and_finishes_what_it_accepted(
    clips: Clips, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    with running_server(data) as address, Client(address) as client:
        assert client.register(clips.references[0], id="first").status_code == 201
        check = client.check(clips.references[0]).json()
        # Accepted, and killed before it can be finished.
        with clips.references[1].open("rb") as file:
            accepted = client.http.post("/v1/references", files={"file": ("b.mp4", file)})
        assert accepted.status_code == 202
        server = _server_process(data)
        family = [server, *server.children(recursive=True)]
        for process in family:
            _kill(process)

    with running_server(data) as address, Client(address) as client:
        assert client.http.get("/v1/references/first").json()["id"] == "first"
        assert client.http.get(f"/v1/checks/{check['id']}").json() == check
        assert client.check(clips.references[0]).json()["outcome"] == "duplicate"
        late = client.http.get(f"/v1/references/{accepted.json()['id']}", headers=WAIT)
        assert late.json()["status"] == "ready", late.text
        server = _server_process(data)
        family = server.children(recursive=True)
        os.kill(server.pid, signal.SIGTERM)
        server.wait(60)
        gone, alive = psutil.wait_procs(family, timeout=30)
        assert alive == [], alive
        assert len(gone) == len(family)


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


def test_a_wrong_setting_ends_the_start_with_its_name(tmp_path: Path) -> None:
    command = ["--data", str(tmp_path), "--set", "media.query_rate=2"]
    result = subprocess.run(
        [sys.executable, "-m", "serve_app.main", *command], capture_output=True, check=False
    )
    assert result.returncode == 2
    assert b"media.query_rate" in result.stderr
    assert b"Traceback" not in result.stderr
