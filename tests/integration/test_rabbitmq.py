"""Jobs by a real RabbitMQ: consumers do them, and the broker may be killed."""

from __future__ import annotations

import asyncio
import inspect
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import amqp
import kombu
import pytest
from ray.serve.task_consumer import instantiate_adapter_from_config
from ray.serve.task_processor import CeleryTaskProcessorAdapter

from dubl.errors import ConfigurationError
from dubl.settings import load_settings
from pipelines.local_server import running_server
from serve_app.broker import Dispatcher, QueueLengthPolicy, task_config
from tests.integration.conftest import Clips
from tests.support.rabbitmq import RabbitMQ, free_ports, is_installed, running_rabbitmq
from tests.support.service import WAIT, Client

pytestmark = pytest.mark.skipif(
    not is_installed(), reason="rabbitmq-server is absent (apt-get install rabbitmq-server)"
)

OVERRIDES = ["serve.broker=rabbitmq", "serve.lease_s=8", "media.allow_private_addresses=true"]
AS_ROOT = pytest.mark.filterwarnings("ignore:You're running the worker with superuser")
PORTS = free_ports()
QUEUE = "jobs"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rabbitmq")


@pytest.fixture
def broker(folder: Path) -> Iterator[RabbitMQ]:
    with running_rabbitmq(folder, ports=PORTS) as broker:
        yield broker


@pytest.fixture
def environment(broker: RabbitMQ, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUBL__SERVE__BROKER_URL", broker.url)
    monkeypatch.setenv("DUBL__SERVE__BROKER_MANAGEMENT_URL", broker.management_url)


@pytest.fixture
def adapter(
    broker: RabbitMQ, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> CeleryTaskProcessorAdapter:
    monkeypatch.setenv("DUBL__SERVE__BROKER_URL", broker.url)
    replica = SimpleNamespace(replica_tag="one")
    monkeypatch.setattr("ray.serve.task_processor.get_replica_context", lambda: replica)
    settings = load_settings(overrides=[f"data_dir={tmp_path}", f"serve.broker_queue={QUEUE}"])
    return instantiate_adapter_from_config(task_config(settings))


def test_the_address_of_the_broker_must_be_in_the_environment(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="secret"):
        load_settings(overrides=["serve.broker_url=amqp://u:p@h//"], environment={})
    overrides = [f"data_dir={tmp_path}", "serve.broker=rabbitmq"]
    with pytest.raises(ConfigurationError, match="DUBL__SERVE__BROKER_URL"):
        task_config(load_settings(overrides=overrides, environment={}))


@pytest.mark.usefixtures("environment")
@pytest.mark.slow
def test_consumers_do_the_jobs_and_a_killed_broker_loses_none(
    broker: RabbitMQ, clips: Clips, folder: Path, tmp_path: Path
) -> None:
    with (
        running_server(tmp_path / "data", overrides=OVERRIDES) as address,
        Client(address) as client,
    ):
        assert client.register(clips.references[0], id="one").status_code == 201
        found = client.check(clips.queries("recode")[0]).json()
        assert found["outcome"] == "duplicate"
        refused = client.check(_text_file(tmp_path))
        assert refused.json()["code"] == "not_a_video"

        before = [_submit(client, clips) for _ in range(6)]
        broker.kill()
        without = [_submit(client, clips) for _ in range(2)]
        with running_rabbitmq(folder, ports=PORTS):
            after = [_submit(client, clips) for _ in range(2)]
            for check_id in [*before, *without, *after]:
                done = client.http.get(f"/v1/checks/{check_id}", headers=WAIT)
                assert done.json()["status"] == "done", done.text
        listed = client.http.get("/v1/checks", params={"limit": 100}).json()["items"]
        assert len(listed) == 1 + len([*before, *without, *after])


@pytest.mark.usefixtures("environment")
def test_consumers_scale_with_the_length_of_the_queue(broker: RabbitMQ, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"data_dir: {tmp_path}\nserve: {{broker: rabbitmq, broker_queue: long}}\n")
    dispatcher = Dispatcher(load_settings(config))

    async def story() -> float:
        for number in range(6):
            await dispatcher.send(f"job {number}")
        policy = QueueLengthPolicy(str(config), poll_interval_s=0.2)
        context = SimpleNamespace(
            current_num_replicas=1,
            total_num_requests=0,
            config=SimpleNamespace(get_target_ongoing_requests=lambda: 2),
        )
        while True:  # the management API counts messages every few seconds
            wanted, _ = policy(context)
            if wanted:
                return float(wanted)
            await asyncio.sleep(0.2)

    assert asyncio.run(story()) == 3.0
    assert os.environ["DUBL__SERVE__BROKER_URL"] == broker.url


@AS_ROOT
@pytest.mark.slow
def test_each_declaration_is_one_that_rabbitmq_4_takes(
    broker: RabbitMQ, adapter: CeleryTaskProcessorAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = _recorded(monkeypatch, "queue_declare")
    limits = _recorded(monkeypatch, "basic_qos")
    adapter.start_consumer()
    _wait_for(lambda: broker.consumers(QUEUE) == 1)
    adapter.stop_consumer()
    names = {call["queue"] for call in declared}
    assert {QUEUE, f"{QUEUE}-dead", "celery_delayed_27"} <= names
    refused = [c for c in declared if not c.get("durable") and not c.get("exclusive")]
    assert refused == []
    durable = [call for call in declared if call.get("durable")]
    assert {call["arguments"]["x-queue-type"] for call in durable} == {"quorum"}
    assert limits
    assert not any(call.get("a_global") for call in limits)


@AS_ROOT
@pytest.mark.slow
def test_a_message_that_ends_its_consumers_is_put_aside(
    broker: RabbitMQ, adapter: CeleryTaskProcessorAdapter
) -> None:
    adapter.start_consumer()
    _wait_for(lambda: broker.consumers(QUEUE) == 1)
    adapter.stop_consumer()
    adapter.enqueue_task_sync("run_job", args=["poison"])
    tries = 0
    with kombu.Connection(broker.url) as connection:
        channel = connection.default_channel
        while broker.queue_length(f"{QUEUE}-dead") == 0:
            message = channel.basic_get(QUEUE)
            if message is None:  # on its way
                time.sleep(0.2)
                continue
            channel.basic_reject(message.delivery_tag, requeue=True)
            tries += 1
    assert tries == 1 + load_settings().serve.job_tries


def _recorded(monkeypatch: pytest.MonkeyPatch, method: str) -> list[dict[str, Any]]:
    """The arguments of each later call of a method of AMQP's channel."""
    calls: list[dict[str, Any]] = []
    original = getattr(amqp.Channel, method)

    def record(self: amqp.Channel, *arguments: object, **options: object) -> object:
        bound = inspect.signature(original).bind(self, *arguments, **options)
        calls.append(dict(bound.arguments))
        return original(self, *arguments, **options)

    monkeypatch.setattr(amqp.Channel, method, record)
    return calls


def _wait_for(holds: Callable[[], bool]) -> None:
    while not holds():  # pytest's limit of time ends it
        time.sleep(0.2)


def _submit(client: Client, clips: Clips) -> str:
    with clips.references[0].open("rb") as file:
        answer = client.http.post("/v1/checks", files={"file": ("a.mp4", file)})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def _text_file(folder: Path) -> Path:
    path = folder / "bad.mp4"
    path.write_text("no video at all" * 100)
    return path
