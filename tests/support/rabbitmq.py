"""A RabbitMQ of Debian's package on free ports of the loopback."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import httpx

from pipelines.local_server import LOOPBACK, free_port

# Ray asks for the queues of the default virtual host, "/", under an address that is not there.
VHOST = "dubl"
PROGRAMS = Path("/usr/lib/rabbitmq/bin")  # what runs as whoever calls it
START_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RabbitMQ:
    url: str
    management_url: str
    process: subprocess.Popen[bytes] | None = None

    @classmethod
    def on(cls, ports: Mapping[str, int]) -> Self:
        """Its addresses, known before it runs."""
        return cls(
            url=f"amqp://guest:guest@{LOOPBACK}:{ports['amqp']}/{VHOST}",
            management_url=f"http://guest:guest@{LOOPBACK}:{ports['http']}/api/",
        )

    def queue_length(self, name: str) -> int:
        """Messages of a queue, by the HTTP API; 0 where it is not there yet."""
        answer = httpx.get(f"{self.management_url}queues/{VHOST}/{name}", timeout=10)
        return int(answer.json().get("messages", 0)) if answer.status_code == 200 else 0

    def consumers(self, name: str) -> int:
        """Consumers of a queue, by the HTTP API; 0 where it is not there yet."""
        answer = httpx.get(f"{self.management_url}consumers/{VHOST}", timeout=10)
        return sum(each["queue"]["name"] == name for each in answer.json())

    def kill(self) -> None:
        """SIGKILL to the broker and everything that it started."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def is_installed() -> bool:
    return (PROGRAMS / "rabbitmq-server").exists() and shutil.which("erl") is not None


@contextmanager
def running_rabbitmq(folder: Path, *, ports: dict[str, int] | None = None) -> Iterator[RabbitMQ]:
    """Durable in `folder`: started again with the same ports, it has what it had."""
    folder.mkdir(parents=True, exist_ok=True)
    chosen = ports or free_ports()
    (folder / "plugins").write_text("[rabbitmq_management].\n")
    (folder / "rabbitmq.conf").write_text(
        f"listeners.tcp.default = {LOOPBACK}:{chosen['amqp']}\n"
        f"management.tcp.ip = {LOOPBACK}\nmanagement.tcp.port = {chosen['http']}\n"
    )
    environment = {
        **os.environ,
        "HOME": str(folder),
        "ERL_EPMD_PORT": str(chosen["epmd"]),
        "ERL_EPMD_ADDRESS": LOOPBACK,
        "RABBITMQ_NODENAME": f"dubl{chosen['amqp']}@localhost",
        "RABBITMQ_DIST_PORT": str(chosen["dist"]),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
    }
    with (folder / "rabbitmq.out").open("ab") as log:
        process = subprocess.Popen(
            [PROGRAMS / "rabbitmq-server"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    broker = replace(RabbitMQ.on(chosen), process=process)
    try:
        _wait_ready(broker, folder)
        yield broker
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)
        # Erlang's port mapper outlives whoever started it.
        subprocess.run(["epmd", "-kill"], env=environment, capture_output=True, check=False)


def free_ports() -> dict[str, int]:
    return {name: free_port() for name in ("amqp", "http", "dist", "epmd")}


def _wait_ready(broker: RabbitMQ, folder: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    assert broker.process is not None
    while time.monotonic() < deadline and broker.process.poll() is None:
        try:
            if _has_vhost(broker.management_url):
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise AssertionError((folder / "rabbitmq.out").read_text(errors="replace")[-2000:])


def _has_vhost(management_url: str) -> bool:
    everything = dict.fromkeys(("configure", "write", "read"), ".*")
    made = httpx.put(f"{management_url}vhosts/{VHOST}", timeout=10)
    allowed = httpx.put(f"{management_url}permissions/{VHOST}/guest", json=everything, timeout=10)
    return made.is_success and allowed.is_success
