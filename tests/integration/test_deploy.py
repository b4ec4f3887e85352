"""`serve deploy` of the shipped configurations, one after the other, on a cluster that declares a
GPU it does not have."""

from __future__ import annotations

import http.server
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
import yaml

from pipelines.local_server import LOOPBACK, free_port
from tests.integration.conftest import Clips
from tests.support.rabbitmq import RabbitMQ, free_ports, is_installed, running_rabbitmq
from tests.support.service import WAIT, Client

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
DEPLOY_TIMEOUT_S = 600
BROKER_PORTS = free_ports()
BROKER = RabbitMQ.on(BROKER_PORTS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deploy")


@pytest.fixture(scope="module")
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """Environment of a head node with one declared GPU, on free ports."""
    session = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    ports = {name: free_port() for name in ("gcs", "dashboard", "client")}
    environment = {
        **os.environ,
        "RAY_AUTH_MODE": "token",
        "RAY_USAGE_STATS_ENABLED": "0",
        "DUBL__DATA_DIR": str(folder / "data"),
        "DUBL__MEDIA__ALLOW_PRIVATE_ADDRESSES": "true",
        "DUBL__SERVE__BROKER_URL": BROKER.url,
        "DUBL__SERVE__BROKER_MANAGEMENT_URL": BROKER.management_url,
        "RAY_ADDRESS": f"{LOOPBACK}:{ports['gcs']}",
        "RAY_DASHBOARD_ADDRESS": f"http://{LOOPBACK}:{ports['dashboard']}",
        "SERVE_PORT": str(free_port()),
    }
    log = (folder / "ray.log").open("wb")
    head = subprocess.Popen(
        [
            *(BIN / "ray", "start", "--head", "--block", "--num-cpus=4", "--num-gpus=1"),
            *("--node-ip-address", LOOPBACK, "--temp-dir", session),
            *("--port", str(ports["gcs"]), "--dashboard-port", str(ports["dashboard"])),
            *("--ray-client-server-port", str(ports["client"]), "--include-dashboard=true"),
        ],
        env={name: value for name, value in environment.items() if name != "RAY_ADDRESS"},
        cwd=folder,
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


@pytest.fixture(scope="module")
def address(cluster: dict[str, str], folder: Path) -> str:
    """Of the shipped configuration."""
    _deploy(_config("serve_config.yaml", cluster, folder), cluster)
    address = f"http://{LOOPBACK}:{cluster['SERVE_PORT']}"
    _wait_ready(address, folder / "ray.log")
    return address


def test_the_shipped_configuration_deploys_and_answers(
    address: str, cluster: dict[str, str], clips: Clips
) -> None:
    with Client(address) as client:
        assert client.register(clips.references[0], id="one").status_code == 201
        found = client.check(clips.queries("recode")[0]).json()
    assert found["outcome"] == "duplicate"
    assert _status(cluster)["status"] == "RUNNING"
    logs = list(Path(_session_folder(cluster)).glob("session_latest/logs/serve/*Embedder*.log"))
    assert any("no usable GPU" in log.read_text() for log in logs), logs


def test_a_rolling_update_under_load_fails_no_request_and_loses_nothing(
    address: str, cluster: dict[str, str], clips: Clips, folder: Path
) -> None:
    """Every replica is replaced, since all of them know the settings."""
    settings = yaml.safe_load((PROJECT / "configs" / "cluster.yaml").read_text())
    settings["policy"] = {"version": "after the update"}
    changed = folder / "changed.yaml"
    changed.write_text(yaml.safe_dump(settings))
    traffic = Traffic(address, clips)
    traffic.start()
    traffic.wait_for(6)
    _deploy(_config("serve_config.yaml", cluster, folder, config=str(changed)), cluster)
    traffic.wait_until_updated(cluster, policy_version="after the update")
    traffic.stop()
    assert traffic.failed == []
    with Client(address) as client:
        for reference in traffic.registered:
            assert client.http.get(f"/v1/references/{reference}").status_code == 200, reference
        for check in traffic.checked:
            assert client.http.get(f"/v1/checks/{check}").json()["status"] == "done", check


@pytest.mark.skipif(
    not is_installed(), reason="rabbitmq-server is absent (apt-get install rabbitmq-server)"
)
def test_with_rabbitmq_consumers_come_as_the_queue_grows(
    address: str, cluster: dict[str, str], clips: Clips, folder: Path, slow_link: str
) -> None:
    with running_rabbitmq(folder / "broker", ports=BROKER_PORTS), Client(address) as client:
        _deploy(_config("serve_config_rabbitmq.yaml", cluster, folder), cluster)
        _wait_until(lambda: _consumers(cluster) == 1, cluster)
        _wait_ready(address, folder / "ray.log")
        assert client.check(clips.queries("recode")[0]).json()["outcome"] == "duplicate"

        # One consumer works on four at once; these do not end before they are let go.
        links = [f"{slow_link}/{number}.mp4" for number in range(14)]
        asked = [client.http.post("/v1/checks", json={"link": link}).json() for link in links]
        _wait_until(lambda: _consumers(cluster) > 1, cluster)
        Slow.let_go.set()
        for check in asked:
            done = client.http.get(f"/v1/checks/{check['id']}", headers=WAIT).json()
            assert done["status"] == "done", done


class Traffic:
    """Checks and registrations without a pause, by callers who wait for their results."""

    def __init__(self, address: str, clips: Clips) -> None:
        self._address = address
        self._content = clips.queries("recode")[0].read_bytes()
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(kind,), daemon=True)
            for kind in ("checks", "checks", "references")
        ]
        self.checked: list[str] = []
        self.registered: list[str] = []
        self.versions: list[str] = []
        self.failed: list[str] = []

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, count: int) -> None:
        _wait_until(lambda: len(self.checked) >= count or bool(self.failed))

    def wait_until_updated(self, cluster: dict[str, str], *, policy_version: str) -> None:
        """Until the new replicas alone answer."""
        _wait_until(lambda: policy_version in self.versions or bool(self.failed), cluster)
        _wait_until(lambda: _settled(cluster) or bool(self.failed), cluster)
        self.wait_for(len(self.checked) + 6)

    def _run(self, kind: str) -> None:
        with httpx.Client(base_url=self._address, timeout=300) as http:
            while not self._stopped.wait(0.1):
                files = {"file": ("a.mp4", self._content + uuid.uuid4().bytes)}
                try:
                    answer = http.post(f"/v1/{kind}", files=files, headers=WAIT)
                except httpx.TransportError as exc:
                    self.failed.append(f"{kind}: {type(exc).__name__}: {exc}")
                    continue
                if answer.status_code not in (200, 201):
                    self.failed.append(f"{kind}: {answer.status_code} {answer.text[:300]}")
                elif kind == "checks":
                    self.versions.append(answer.json()["policy_version"])
                    self.checked.append(answer.json()["id"])
                else:
                    self.registered.append(answer.json()["id"])


class Slow(http.server.BaseHTTPRequestHandler):
    """Links that say nothing until they are let go, and are videos then."""

    let_go: threading.Event
    content: bytes

    def do_GET(self) -> None:
        self.let_go.wait()
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def slow_link(clips: Clips) -> Iterator[str]:
    Slow.let_go, Slow.content = threading.Event(), clips.references[0].read_bytes()
    with http.server.ThreadingHTTPServer((LOOPBACK, 0), Slow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{LOOPBACK}:{server.server_port}"
        Slow.let_go.set()
        server.shutdown()


def _config(name: str, cluster: dict[str, str], folder: Path, *, config: str = "") -> Path:
    """A shipped configuration on the test's port, and with other settings where `config` names
    them."""
    content = yaml.safe_load((PROJECT / name).read_text())
    content["http_options"]["port"] = int(cluster["SERVE_PORT"])
    if config:
        content["applications"][0]["args"]["config"] = config
    path = folder / name
    path.write_text(yaml.safe_dump(content))
    return path


def _status(cluster: dict[str, str]) -> dict[str, object]:
    status = subprocess.run(
        [BIN / "serve", "status"], env=cluster, capture_output=True, text=True, check=True
    )
    found: dict[str, object] = yaml.safe_load(status.stdout)["applications"]["dubl"]
    return found


def _settled(cluster: dict[str, str]) -> bool:
    """Whether the application runs and no replica starts or stops."""
    found = _status(cluster)
    states = [item["replica_states"].keys() for item in found["deployments"].values()]
    return found["status"] == "RUNNING" and {*itertools.chain(*states)} == {"RUNNING"}


def _consumers(cluster: dict[str, str]) -> int:
    deployments = _status(cluster)["deployments"]
    return int(deployments.get("Consumer", {}).get("replica_states", {}).get("RUNNING", 0))


def _wait_until(condition: Callable[[], bool], cluster: dict[str, str] | None = None) -> None:
    deadline = time.monotonic() + DEPLOY_TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, _status(cluster) if cluster else "too late"
        time.sleep(0.5)


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
