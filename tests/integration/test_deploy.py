"""`serve deploy serve_config.yaml` on a cluster that declares a GPU it does not have."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
import yaml

from pipelines.local_server import LOOPBACK, free_port
from tests.integration.conftest import Clips
from tests.support.service import Client

PROJECT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
DEPLOY_TIMEOUT_S = 240


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Environment of a head node with one declared GPU, on free ports."""
    session = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    ports = {name: free_port() for name in ("gcs", "dashboard", "client")}
    environment = {
        **os.environ,
        "RAY_AUTH_MODE": "token",
        "RAY_USAGE_STATS_ENABLED": "0",
        "DUBL__DATA_DIR": str(tmp_path / "data"),
        "RAY_ADDRESS": f"{LOOPBACK}:{ports['gcs']}",
        "RAY_DASHBOARD_ADDRESS": f"http://{LOOPBACK}:{ports['dashboard']}",
        "SERVE_PORT": str(free_port()),
    }
    log = (tmp_path / "ray.log").open("wb")
    head = subprocess.Popen(
        [
            *(BIN / "ray", "start", "--head", "--block", "--num-cpus=4", "--num-gpus=1"),
            *("--node-ip-address", LOOPBACK, "--temp-dir", session),
            *("--port", str(ports["gcs"]), "--dashboard-port", str(ports["dashboard"])),
            *("--ray-client-server-port", str(ports["client"]), "--include-dashboard=true"),
        ],
        env={name: value for name, value in environment.items() if name != "RAY_ADDRESS"},
        cwd=tmp_path,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        yield environment
    finally:
        family = psutil.Process(head.pid).children(recursive=True)
        head.terminate()
        head.wait(60)
        _, alive = psutil.wait_procs(family, timeout=30)
        for process in alive:
            process.kill()
        log.close()
        shutil.rmtree(session, ignore_errors=True)


def test_the_shipped_configuration_deploys_and_answers(
    cluster: dict[str, str], clips: Clips, tmp_path: Path
) -> None:
    config = yaml.safe_load((PROJECT / "serve_config.yaml").read_text())
    config["http_options"]["port"] = int(cluster["SERVE_PORT"])
    path = tmp_path / "serve_config.yaml"
    path.write_text(yaml.safe_dump(config))
    _deploy(path, cluster)
    address = f"http://{LOOPBACK}:{cluster['SERVE_PORT']}"
    _wait_ready(address, tmp_path / "ray.log")

    with Client(address) as client:
        assert client.register(clips.references[0], id="one").status_code == 201
        found = client.check(clips.queries("recode")[0]).json()
    assert found["outcome"] == "duplicate"
    status = subprocess.run(
        [BIN / "serve", "status"], env=cluster, capture_output=True, text=True, check=True
    )
    assert yaml.safe_load(status.stdout)["applications"]["dubl"]["status"] == "RUNNING"
    logs = list(Path(_session_folder(cluster)).glob("session_latest/logs/serve/*Embedder*.log"))
    assert any("no usable GPU" in log.read_text() for log in logs), logs


def _deploy(path: Path, cluster: dict[str, str]) -> None:
    deadline = time.monotonic() + DEPLOY_TIMEOUT_S
    while True:  # the dashboard needs a moment before it takes a configuration
        result = subprocess.run(
            [BIN / "serve", "deploy", path],
            env=cluster,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode == 0:
            return
        assert time.monotonic() < deadline, result.stderr
        time.sleep(1)


def _wait_ready(address: str, log: Path) -> None:
    deadline = time.monotonic() + DEPLOY_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{address}/readyz", timeout=10).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(1)
    raise AssertionError(log.read_text())


def _session_folder(cluster: dict[str, str]) -> str:
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if "--temp-dir" in command and str(cluster["RAY_ADDRESS"].rpartition(":")[2]) in command:
            return command[command.index("--temp-dir") + 1]
    raise AssertionError("the head node does not run")
