"""A Ray cluster of several nodes on this machine, each a process tree that can be killed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from pipelines.local_server import LOOPBACK, free_port

RAY = Path(sys.executable).with_name("ray")
SERVE = Path(sys.executable).with_name("serve")
START_TIMEOUT_S = 600.0
STOP_TIMEOUT_S = 30.0


class RayCluster:
    """The head and nodes that join it. `environment` is that of a client: Ray's and Serve's
    commands find the cluster by it."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self._session = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # paths of sockets are limited
        self._log = (folder / "ray.log").open("wb")
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}
        self._variables = {**os.environ, **variables, "RAY_AUTH_MODE": "token"}
        self._gcs, self._dashboard = free_port(), free_port()
        self.environment = {
            **self._variables,
            "RAY_ADDRESS": f"{LOOPBACK}:{self._gcs}",
            "RAY_DASHBOARD_ADDRESS": f"http://{LOOPBACK}:{self._dashboard}",
            "RAY_API_SERVER_ADDRESS": f"http://{LOOPBACK}:{self._dashboard}",
        }

    def start_head(self, *options: str) -> None:
        self._start(
            "head",
            *("--head", "--port", str(self._gcs), "--dashboard-port", str(self._dashboard)),
            *("--ray-client-server-port", str(free_port()), "--include-dashboard=true"),
            *("--temp-dir", self._session, *options),
        )

    def start_node(self, name: str, *options: str) -> None:
        """Waits for the head: a node that finds none gives up."""
        give_up_at = time.monotonic() + START_TIMEOUT_S
        while "node_" not in self.command(RAY, "status", timeout_s=START_TIMEOUT_S).stdout:
            assert time.monotonic() < give_up_at, "the head did not start"
            time.sleep(1)
        self._start(name, "--address", f"{LOOPBACK}:{self._gcs}", *options)

    def kill_node(self, name: str) -> int:
        """SIGKILL to all of a node's processes; how many."""
        node = psutil.Process(self._nodes.pop(name).pid)
        family = [node, *node.children(recursive=True)]
        for process in family:
            _kill(process)
        psutil.wait_procs(family, timeout=STOP_TIMEOUT_S)
        return len(family)

    def command(self, *command: str | Path, timeout_s: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )

    def stop(self) -> None:
        for name in [*self._nodes]:
            self.kill_node(name)
        self._log.close()
        shutil.rmtree(self._session, ignore_errors=True)

    def _start(self, name: str, *options: str) -> None:
        ports = ("dashboard-agent-listen-port", "metrics-export-port", "dashboard-agent-grpc-port")
        self._nodes[name] = subprocess.Popen(
            [
                *(RAY, "start", "--block", "--node-ip-address", LOOPBACK, *options),
                *(text for port in ports for text in (f"--{port}", str(free_port()))),
            ],
            env=self._variables,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )


@contextmanager
def ray_cluster(folder: Path, variables: Mapping[str, str]) -> Iterator[RayCluster]:
    cluster = RayCluster(folder, variables)
    try:
        yield cluster
    finally:
        cluster.stop()


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return
