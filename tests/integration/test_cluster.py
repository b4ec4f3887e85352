"""Three nodes, an S3 store and RabbitMQ: deployed by `serve deploy`, filled by `ray job submit`,
asked without a pause while nodes, the broker and the store go away, and while new weights are
brought in. What was acknowledged is there at the end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
import yaml

from dubl.ledger.clock import utc_now
from pipelines.local_server import LOOPBACK, free_port
from tests.integration.conftest import Clips
from tests.support.chaos import Account, Submitter, wait_ready
from tests.support.gate import Gate, gate_to
from tests.support.other_weights import other_weights
from tests.support.rabbitmq import RabbitMQ, free_ports, is_installed, running_rabbitmq
from tests.support.ray_cluster import HEAD, RayCluster, ray_cluster
from tests.support.redis import is_installed as redis_is_installed
from tests.support.redis import running_redis
from tests.support.s3 import BUCKET, S3, running_s3
from tests.support.service import Client

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not is_installed(), reason="rabbitmq-server is absent (apt-get install rabbitmq-server)"
    ),
]

PROJECT = Path(__file__).resolve().parents[2]
COMMAND_TIMEOUT_S = 300.0
END_TIMEOUT_S = 600.0
GPU, CPU = "gpu", "cpu"
SETTINGS = "configs/rabbitmq.yaml"
NODES = {
    # The ledger's disk is the head's, as in deploy/kuberay.
    HEAD: ("--num-cpus=4", "--num-gpus=0", "--resources", json.dumps({"ledger": 1})),
    GPU: ("--num-cpus=4", "--num-gpus=1"),
    CPU: ("--num-cpus=4", "--num-gpus=0"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="module")
def gate(folder: Path) -> Iterator[Gate]:
    """The way to the store."""
    with running_s3(folder) as store, gate_to(store.port) as gate:
        yield gate


@pytest.fixture(scope="module")
def s3(gate: Gate) -> S3:
    return S3(port=gate.port)


@pytest.fixture(scope="module")
def broker(folder: Path) -> Iterator[Broker]:
    with Broker(folder / "rabbitmq") as broker:
        yield broker


@pytest.fixture(scope="module")
def redis(folder: Path) -> Iterator[str]:
    """Where the head keeps what it knows; empty where there is no Redis."""
    if not redis_is_installed():
        yield ""
        return
    with running_redis(folder / "redis") as address:
        yield address


@pytest.fixture(scope="module")
def cluster(s3: S3, broker: Broker, redis: str, folder: Path) -> Iterator[RayCluster]:
    """A head with the ledger, a node with a declared GPU, and one with CPUs."""
    variables = {
        **s3.environment,
        "DUBL__DATA_DIR": str(folder / "data"),
        "DUBL__INDEX__URI": f"s3://{BUCKET}/library",
        "DUBL__SPOOL__URI": s3.address("uploads"),
        "DUBL__LEDGER__SNAPSHOTS": s3.address("ledger"),
        # These nodes share a disk: references keep their files, from which a second feature space
        # is filled. Of checks nothing is looked at.
        "DUBL__RETENTION__EVIDENCE_S": "60",
        # One clip is sent so often that a person would have to look.
        "DUBL__FLOOD__ENABLED": "false",
        "DUBL__SERVE__BROKER_URL": broker.address.url,
        "DUBL__SERVE__BROKER_MANAGEMENT_URL": broker.address.management_url,
    }
    with ray_cluster(folder, variables) as cluster:
        cluster.start_head(*NODES[HEAD], redis=redis)
        for name in (GPU, CPU):
            cluster.start_node(name, *NODES[name])
        yield cluster


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def address(cluster: RayCluster, folder: Path, port: int) -> str:
    """Of the shipped configuration with RabbitMQ."""
    _retried(cluster, "serve", "deploy", _configuration(folder, port, SETTINGS))
    address = f"http://{LOOPBACK}:{port}"
    wait_ready(address)
    return address


@pytest.fixture(scope="module")
def indexed(cluster: RayCluster, clips: Clips) -> str:
    """What the job prints that takes the archive in."""
    return _index(cluster, clips.references[0].parent, "--config", SETTINGS)


@pytest.fixture
def load(address: str, indexed: str, clips: Clips) -> Iterator[Submitter]:
    """Sends checks and registrations; all that was acknowledged must have been done at the end.
    What is checked has one reference, however often the other clip is registered: of hundreds of
    equal ones two feature spaces find different ones."""
    assert indexed
    checked, registered, *_ = clips.queries("recode")
    submitter = Submitter(checked, registered, unfinished_at_most=8)
    submitter.address = address
    submitter.start()
    yield submitter
    submitter.stop()
    _everything_is_done(address, submitter.account)


def test_an_archive_is_indexed_by_a_submitted_job(address: str, indexed: str, clips: Clips) -> None:
    assert '"registered": 3' in indexed, indexed
    with Client(address) as client:
        found = client.check(clips.queries("recode")[0]).json()
    assert found["outcome"] == "duplicate"


def test_the_doctor_finds_nothing_wrong_with_the_cluster(cluster: RayCluster, address: str) -> None:
    told = _retried(cluster, "dubl", "doctor", "--cluster", cluster.address, "--url", address)
    assert "3 nodes, 12 CPUs, 1 GPUs" in told, told


def test_killed_nodes_lose_nothing_that_was_acknowledged(
    cluster: RayCluster, load: Submitter, pytestconfig: pytest.Config
) -> None:
    """The first is needed for nothing; without the other there is no Embedder until it is back."""
    for _ in range(pytestconfig.getoption("--cluster-kills")):
        load.wait_for(3)
        assert _replicas(cluster.kill(CPU)) > 0
        load.wait_for(3)
        cluster.start_node(CPU, *NODES[CPU])
        assert _replicas(cluster.kill(GPU)) > 0
        cluster.start_node(GPU, *NODES[GPU])
        load.wait_for(6)


def test_a_broker_and_a_store_may_go_away_and_come_back(
    broker: Broker, gate: Gate, load: Submitter
) -> None:
    load.wait_for(3)
    broker.kill()
    load.wait_for(3)
    broker.start()
    load.wait_for(3)
    gate.shut()
    load.wait_until_answered(str(int(httpx.codes.SERVICE_UNAVAILABLE)))
    gate.open()
    load.wait_for(6)


def test_a_head_that_comes_back_finds_its_cluster(
    cluster: RayCluster, address: str, redis: str, load: Submitter
) -> None:
    if not redis:
        pytest.skip("redis-server is absent (apt-get install redis-server)")
    load.wait_for(3)
    cluster.kill(HEAD)
    cluster.start_head(*NODES[HEAD], redis=redis)
    wait_ready(address)
    load.wait_for(6)


@pytest.fixture
def long_run(pytestconfig: pytest.Config) -> None:
    if pytestconfig.getoption("--cluster-kills") < 2:
        pytest.skip("ten minutes: a part of make chaos-cluster; test_spaces.py does it on one node")


@pytest.mark.usefixtures("long_run")
def test_a_new_feature_space_is_switched_in_while_checks_run(
    cluster: RayCluster, address: str, load: Submitter, clips: Clips, folder: Path, port: int
) -> None:
    load.wait_for(3)
    weights = other_weights(folder / "weights")
    settings = _with_candidate(folder, weights)
    _retried(cluster, "serve", "deploy", _configuration(folder, port, settings))
    with Client(address) as client:
        _wait_until(lambda: len(_spaces(client)) > 1)
        load.wait_for(3)
        answering, candidate = (one["space_id"] for one in _spaces(client))
        fill = ("--config", settings, "--space", "candidate")
        _index(cluster, clips.references[0].parent, *fill)
        # Those that were uploaded, from the files that were kept.
        listing = folder / "missing.csv"
        listing.write_text(_retried(cluster, "dubl", "spaces", "missing", candidate, *_at(address)))
        _index(cluster, listing, *fill)
        left = _retried(cluster, "dubl", "spaces", "missing", candidate, *_at(address))
        # A node that was killed may have registered one and not kept its file.
        lost = [row for row in left.splitlines()[1:] if ",," in row]
        assert len(lost) == len(left.splitlines()) - 1, left
        force = ["--force"] if lost else []
        filled_at = utc_now()
        _wait_until(lambda: _shadows(client, candidate, filled_at) > 1)
        _retried(cluster, "dubl", "spaces", "switch", candidate, *_at(address), *force)
        _wait_until(lambda: _newest_model(client) == _model(client, candidate))
        load.wait_for(6)
        _retried(cluster, "dubl", "spaces", "rollback", *_at(address))
        _wait_until(lambda: _newest_model(client) == _model(client, answering))
        load.wait_for(3)
        _retried(cluster, "dubl", "spaces", "switch", candidate, *_at(address), *force)
        load.wait_for(3)
        compared = {one["space_id"]: one for one in _spaces(client, since=filled_at)}[candidate]
        assert compared["shadow_checks"] == compared["agreed"] > 0


class Broker:
    """RabbitMQ that comes back with what it had."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._ports = folder, free_ports()
        self._running = ExitStack()
        self.address = RabbitMQ.on(self._ports)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def start(self) -> None:
        running = running_rabbitmq(self._folder, ports=self._ports)
        self._process = self._running.enter_context(running)

    def kill(self) -> None:
        self._process.kill()


def _replicas(commands: Sequence[str]) -> int:
    return sum("ServeReplica" in command for command in commands)


def _everything_is_done(address: str, account: Account) -> None:
    with Client(address) as client:
        for job_id in account.jobs:
            _wait_for_the_end(client, job_id)
        for check_id in account.checks:
            body = client.http.get(f"/v1/checks/{check_id}").json()
            assert body["outcome"] == "duplicate", body
        listed = [
            item["id"] for item in client.http.get("/v1/references?limit=500").json()["items"]
        ]
    assert len(listed) == len({*listed})
    assert {*account.references} <= {*listed}


def _wait_for_the_end(client: Client, job_id: str) -> None:
    give_up_at = time.monotonic() + END_TIMEOUT_S
    state = ""
    while state != "done":
        assert time.monotonic() < give_up_at, (job_id, state)
        assert state != "failed", client.http.get(f"/v1/jobs/{job_id}").text
        try:
            answer = client.http.get(f"/v1/jobs/{job_id}")
        except httpx.TransportError:
            continue
        state = answer.json()["status"] if answer.is_success else state
        time.sleep(0 if state == "done" else 0.5)


def _index(cluster: RayCluster, archive: Path, *options: str | Path) -> str:
    """Submits the job that takes an archive in; the service has the only GPU."""
    job = ("python", "-m", "pipelines.index_archive", archive, *options)
    on_cpus = ("--workers", "1", "--set", "model.device=cpu")
    return _retried(cluster, "ray", "job", "submit", "--", *job, *on_cpus)


def _with_candidate(folder: Path, weights: Path) -> Path:
    """The shipped settings with a second feature space."""
    settings = yaml.safe_load((PROJECT / SETTINGS).read_text())
    settings["candidate"] = {"weights": str(weights), "shadow_share": 0.5}
    path = folder / "candidate.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def _shadows(client: Client, space_id: str, since: str) -> int:
    found = _spaces(client, since=since)
    return sum(int(one["shadow_checks"]) for one in found if one["space_id"] == space_id)


def _spaces(client: Client, *, since: str = "") -> list[dict[str, Any]]:
    answer = client.http.get("/v1/spaces", params={"since": since})
    return list(answer.json()["items"]) if answer.is_success else []


def _model(client: Client, space_id: str) -> str:
    return next(str(one["model_id"]) for one in _spaces(client) if one["space_id"] == space_id)


def _newest_model(client: Client) -> str:
    answer = client.http.get("/v1/checks?limit=1")
    return str(answer.json()["items"][0]["model_id"]) if answer.is_success else ""


def _at(address: str) -> tuple[str, str]:
    return ("--url", address)


def _wait_until(true: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + END_TIMEOUT_S
    while not _tried(true):
        assert time.monotonic() < give_up_at
        time.sleep(0.5)


def _tried(true: Callable[[], bool]) -> bool:
    """While an ingress is replaced, connections may break."""
    try:
        return true()
    except httpx.TransportError:
        return False


def _configuration(folder: Path, port: int, settings: str | Path) -> Path:
    """The shipped one, with the ledger at its disk. All nodes share this machine's ports, and so
    one proxy, and its cores, for which two replicas of a kind are enough."""
    config = yaml.safe_load((PROJECT / "serve_config_rabbitmq.yaml").read_text())
    config["proxy_location"] = "HeadOnly"
    config["http_options"]["port"] = port
    (application,) = config["applications"]
    application["args"] = {"config": str(settings)}
    for deployment in application["deployments"]:
        if deployment["name"] == "Ledger":
            deployment["ray_actor_options"]["resources"] = {"ledger": 1}
        if "autoscaling_config" in deployment:
            deployment["autoscaling_config"]["max_replicas"] = 2
    path = folder / "serve_config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def _retried(cluster: RayCluster, *command: str | Path) -> str:
    """What it prints. The dashboard needs a moment before it takes commands."""
    give_up_at = time.monotonic() + COMMAND_TIMEOUT_S
    while True:
        done = cluster.command(*command, timeout_s=COMMAND_TIMEOUT_S)
        if done.returncode == 0:
            return done.stdout
        assert time.monotonic() < give_up_at, done.stdout + done.stderr
        time.sleep(1)
