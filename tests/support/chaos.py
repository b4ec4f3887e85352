"""Kills processes of a running service, and keeps account of what it acknowledged."""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import httpx
import psutil

from pipelines.local_server import free_port, running_server
from tests.support.rabbitmq import RabbitMQ, free_ports, running_rabbitmq

OVERRIDES = ("serve.lease_s=6", "serve.job_tries=12", "serve.max_concurrent_jobs=3")
READY_TIMEOUT_S = 300.0
# Of the embedded default one process has all steps; with a broker each is a deployment.
DEPLOYMENTS = ("Decoder", "Embedder", "Retriever", "Reranker", "Librarian", "Ledger")
# Names are parts of command lines. The last is the whole machine: head node, store and all.
EVERYTHING = "everything"
TARGETS = (
    "ServeReplica:default:Ingress",
    "ServeController",
    "ProxyActor",
    "dubl.media.decode_worker",
    EVERYTHING,
)
BROKER = "broker"
BROKER_TARGETS = (
    BROKER,
    "ServeReplica:default:Consumer",
    *(f"ServeReplica:default:{name}" for name in DEPLOYMENTS),
)


@dataclass(slots=True)
class Account:
    """What was sent, and what the service said of it."""

    checks: list[str] = field(default_factory=list)
    references: list[str] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)


class Submitter:
    """Sends checks of one clip and registrations of another without a pause until it is stopped;
    whatever is answered by 202 is in its account."""

    def __init__(self, checked: Path, registered: Path, *, unfinished_at_most: int = 12) -> None:
        self.account = Account()
        self.address = ""
        self._contents = {
            "checks": checked.read_bytes(),
            "references": registered.read_bytes(),
        }
        self._most = unfinished_at_most
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def wait_for(self, count: int) -> None:
        """Until so many more are acknowledged."""
        wanted = len(self.account.jobs) + count
        deadline = time.monotonic() + READY_TIMEOUT_S
        while len(self.account.jobs) < wanted:
            assert time.monotonic() < deadline, self.account.answers
            time.sleep(0.1)

    def wait_until_answered(self, status: str) -> None:
        """Until one more request is answered so."""
        before = self.account.answers[status]
        deadline = time.monotonic() + READY_TIMEOUT_S
        while self.account.answers[status] == before:
            assert time.monotonic() < deadline, self.account.answers
            time.sleep(0.1)

    def _run(self) -> None:
        number = 0
        while not self._stopped.wait(0.2):
            number += 1
            try:
                if self._unfinished() < self._most:
                    self._submit("references" if number % 3 == 0 else "checks")
            except httpx.TransportError as exc:
                self.account.answers[type(exc).__name__] += 1

    def _unfinished(self) -> int:
        found = 0
        for status in ("queued", "running"):
            answer = httpx.get(f"{self.address}/v1/jobs", params={"status": status}, timeout=20)
            found += len(answer.json().get("items", [])) if answer.is_success else self._most
        return found

    def _submit(self, kind: str) -> None:
        # Bytes behind the end make it another file of the same pictures.
        content = self._contents[kind] + uuid.uuid4().bytes
        answer = httpx.post(
            f"{self.address}/v1/{kind}", files={"file": ("a.mp4", content)}, timeout=60
        )
        self.account.answers[str(answer.status_code)] += 1
        if answer.status_code == httpx.codes.ACCEPTED:
            body = answer.json()
            getattr(self.account, kind).append(body["id"])
            self.account.jobs.append(body["job_id"])


class Victim:
    """A service on one machine, with RabbitMQ where `broker` says so; either may be killed."""

    def __init__(self, folder: Path, *, broker: str) -> None:
        self._data = folder / "data"
        self._folder = folder / "broker"
        self._ports = free_ports() if broker == "rabbitmq" else None
        self._overrides = [*OVERRIDES, f"serve.broker={broker}"]
        self._port = free_port()
        self._running = contextlib.ExitStack()
        self._broker: RabbitMQ | None = None
        self.address = ""

    @property
    def targets(self) -> tuple[str, ...]:
        return TARGETS if self._ports is None else (*TARGETS, *BROKER_TARGETS)

    def __enter__(self) -> Self:
        try:
            if self._ports is not None:
                self._start_broker(self._ports)
            self._start_service()
        except BaseException:
            self._running.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def kill(self, target: str, chance: random.Random) -> bool:
        """SIGKILL to one process, or to all of the service; whether there was one. What is not
        started again by the service itself is started again."""
        if target == BROKER:
            assert self._broker is not None
            self._broker.kill()
            return True
        server = self._server()
        family = server.children(recursive=True)
        if target == EVERYTHING:
            for process in [server, *family]:
                _kill(process)
            psutil.wait_procs([server, *family], timeout=60)
            return True
        found = [process for process in family if target in _command(process)]
        if found:
            _kill(chance.choice(found))
        return bool(found)

    def recover(self, target: str) -> None:
        """Starts what nobody else starts, and waits until requests are taken."""
        if target == EVERYTHING:
            self._start_service()
        if target == BROKER and self._ports is not None:
            self._start_broker(self._ports)
        wait_ready(self.address)

    def _start_service(self) -> None:
        running = running_server(self._data, overrides=self._overrides, port=self._port)
        self.address = self._running.enter_context(running)

    def _start_broker(self, ports: dict[str, int]) -> None:
        self._broker = self._running.enter_context(running_rabbitmq(self._folder, ports=ports))
        os.environ["DUBL__SERVE__BROKER_URL"] = self._broker.url
        os.environ["DUBL__SERVE__BROKER_MANAGEMENT_URL"] = self._broker.management_url

    def _server(self) -> psutil.Process:
        for process in psutil.process_iter(["cmdline"]):
            command = process.info["cmdline"] or []
            if "serve_app.main" in command and str(self._data) in command:
                return process
        raise AssertionError("the service does not run")


def wait_ready(address: str) -> None:
    """Until the service says that it takes requests, and has done one."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{address}/readyz", timeout=20).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"the service at {address} did not come back")


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return
