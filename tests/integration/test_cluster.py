"""Three nodes, an S3 store and RabbitMQ: deployed by `serve deploy`, filled by `ray job submit`,
checked under load while a node is killed. What was acknowledged is there at the end."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from dubl.objects import ObjectFolder
from pipelines.local_server import LOOPBACK, free_port
from tests.integration.conftest import Clips
from tests.support.chaos import Submitter, wait_ready
from tests.support.rabbitmq import is_installed, running_rabbitmq
from tests.support.ray_cluster import RAY, SERVE, RayCluster, ray_cluster
from tests.support.s3 import BUCKET, S3, running_s3
from tests.support.service import Client

pytestmark = pytest.mark.skipif(
    not is_installed(), reason="rabbitmq-server is absent (apt-get install rabbitmq-server)"
)

PROJECT = Path(__file__).resolve().parents[2]
COMMAND_TIMEOUT_S = 300.0
END_TIMEOUT_S = 900.0
VICTIM = "second"
VICTIM_OPTIONS = ("--num-cpus=4", "--num-gpus=0")


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with running_s3(tmp_path_factory.mktemp("s3")) as store:
        yield store


@pytest.fixture(scope="module")
def cluster(s3: S3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayCluster]:
    """A head with the ledger's disk, a node with a declared GPU, and one to be killed."""
    folder = tmp_path_factory.mktemp("cluster")
    with running_rabbitmq(folder / "rabbitmq") as broker:
        variables = {
            **s3.environment,
            "DUBL__DATA_DIR": str(folder / "data"),
            "DUBL__INDEX__URI": f"s3://{BUCKET}/library",
            "DUBL__SPOOL__URI": s3.address("uploads"),
            "DUBL__LEDGER__SNAPSHOTS": s3.address("ledger"),
            "DUBL__SERVE__BROKER_URL": broker.url,
            "DUBL__SERVE__BROKER_MANAGEMENT_URL": broker.management_url,
        }
        with ray_cluster(folder, variables) as cluster:
            ledger = json.dumps({"ledger": 1})
            cluster.start_head("--num-cpus=4", "--num-gpus=0", "--resources", ledger)
            cluster.start_node("first", "--num-cpus=4", "--num-gpus=1")
            cluster.start_node(VICTIM, *VICTIM_OPTIONS)
            yield cluster


def _configuration(folder: Path, port: int) -> Path:
    """The shipped one; all nodes of this cluster share the machine's ports, and so one proxy."""
    config = yaml.safe_load((PROJECT / "serve_config_rabbitmq.yaml").read_text())
    config["proxy_location"] = "HeadOnly"
    config["http_options"]["port"] = port
    (application,) = config["applications"]
    deployments = {item["name"]: item for item in application["deployments"]}
    deployments["Ledger"]["ray_actor_options"]["resources"] = {"ledger": 1}
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
        time.sleep(2)


def test_a_killed_node_loses_nothing_that_was_acknowledged(
    cluster: RayCluster,
    s3: S3,
    clips: Clips,
    tmp_path: Path,
    pytestconfig: pytest.Config,
) -> None:
    port = free_port()
    address = f"http://{LOOPBACK}:{port}"
    _retried(cluster, SERVE, "deploy", _configuration(tmp_path, port))
    archive = clips.references[0].parent
    job = f"python -m pipelines.index_archive {archive} --config configs/rabbitmq.yaml --workers 1"
    told = _retried(cluster, RAY, "job", "submit", "--", "sh", "-c", f"cd {PROJECT} && {job}")
    assert '"registered": 3' in told.replace("'", '"'), told
    wait_ready(address)

    submitter = Submitter(clips.queries("recode")[0], unfinished_at_most=8)
    submitter.address = address
    submitter.start()
    for _ in range(pytestconfig.getoption("--cluster-kills")):
        submitter.wait_for(5)
        assert cluster.kill_node(VICTIM) > 2
        submitter.wait_for(3)
        cluster.start_node(VICTIM, *VICTIM_OPTIONS)
    submitter.stop()

    account = submitter.account
    with Client(address) as client:
        _wait_for_the_end(client, account.jobs)
        for check_id in account.checks:
            body = client.http.get(f"/v1/checks/{check_id}").json()
            assert body["outcome"] == "duplicate", body
        held = {item["id"] for item in client.http.get("/v1/references?limit=1000").json()["items"]}
        assert held == {*clips.truth.references, *account.references}
    assert len(account.checks) + len(account.references) == len(account.jobs)
    assert ObjectFolder(s3.address("uploads")).list() == ()


def _wait_for_the_end(client: Client, jobs: list[str]) -> None:
    give_up_at = time.monotonic() + END_TIMEOUT_S
    for job_id in jobs:
        state = ""
        while state != "done":
            assert time.monotonic() < give_up_at, (job_id, state)
            assert state != "failed", client.http.get(f"/v1/jobs/{job_id}").text
            time.sleep(0.5 if state else 0)
            try:
                answer = client.http.get(f"/v1/jobs/{job_id}")
            except httpx.TransportError:
                continue
            state = answer.json().get("status", "") if answer.is_success else state
