"""A Ray cluster of several nodes on this machine, each a family of processes that can be killed."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

import psutil

from pipelines.local_server import LOOPBACK, free_port

BIN = Path(sys.executable).parent
HEAD = "head"
START_TIMEOUT_S = 600.0
STOP_TIMEOUT_S = 30.0
NODE_ID_BYTES = 28
STARTED = "Ray runtime started"
# A raylet waits 15 s, and not longer whatever is set, for files in which its agents tell ports that
# were not given (ray-project/ray#65983), and for the file of LISTENS in any case.
LISTENS = "dashboard-agent-listen-port"
AGENT_PORTS = (
    LISTENS,
    "dashboard-agent-grpc-port",
    "metrics-export-port",
    "runtime-env-agent-port",
)
# On a busy machine everything takes longer than Ray expects; and no process more than is needed.
BUSY_MACHINE = {
    "RAY_gcs_rpc_server_reconnect_timeout_s": "600",
    "RAY_raylet_start_wait_time_s": "400",
    "RAY_agent_register_timeout_ms": "400000",
    "RAY_enable_worker_prestart": "0",
    "RAY_prestart_worker_first_driver": "0",
}
LEAN = ("--include-log-monitor=false", "--min-worker-port=0", "--max-worker-port=0")


class RayCluster:
    """The head and nodes that join it. `environment` is that of a client: Ray's and Serve's
    commands find the cluster by it."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self._folder = folder
        self._session = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # paths of sockets are limited
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}
        self._gcs, self._dashboard = free_port(), free_port()
        self._variables = {
            **os.environ,
            **BUSY_MACHINE,
            **variables,
            "PATH": f"{BIN}:{os.environ['PATH']}",  # as in an activated environment
            "RAY_AUTH_MODE": "token",
        }
        self.address = f"{LOOPBACK}:{self._gcs}"
        dashboard = f"http://{LOOPBACK}:{self._dashboard}"
        self.environment = {
            **self._variables,
            "RAY_ADDRESS": self.address,
            "RAY_DASHBOARD_ADDRESS": dashboard,
            "RAY_API_SERVER_ADDRESS": dashboard,
        }

    def start_head(self, *options: str, redis: str = "") -> None:
        """On the same ports each time. Returns when it runs, as for other nodes. With a Redis it
        comes back to the nodes that it had."""
        # A node that still runs, and this file, would be taken for a head that does.
        (Path(self._session) / "ray_current_cluster").unlink(missing_ok=True)
        ports = ("--port", str(self._gcs), "--dashboard-port", str(self._dashboard))
        client = ("--ray-client-server-port", str(free_port()))
        place = ("--temp-dir", self._session)
        variables = {"RAY_REDIS_ADDRESS": redis} if redis else {}
        head = ("--head", "--no-monitor", *ports, *client, *place)
        self._start(HEAD, *head, *options, variables=variables)

    def start_node(self, name: str, *options: str) -> None:
        """Not two at once: each takes the first name of a socket that is free."""
        self._start(name, "--address", self.address, *options)

    def kill(self, name: str) -> list[str]:
        """SIGKILL to all of a node's processes; their names."""
        starter = self._nodes.pop(name)
        family = _session_of(starter.pid)
        names = [_name(process) for process in family]
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        starter.wait(STOP_TIMEOUT_S)
        psutil.wait_procs(family, timeout=STOP_TIMEOUT_S)
        return names

    def command(self, *command: str | Path, timeout_s: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            env=self.environment,
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )

    def stop(self) -> None:
        for name in reversed([*self._nodes]):
            self.kill(name)
        shutil.rmtree(self._session, ignore_errors=True)

    def _start(
        self, name: str, *options: str, variables: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        node_id = secrets.token_hex(NODE_ID_BYTES)
        ports = {port: str(free_port()) for port in AGENT_PORTS}
        told = (*LEAN, *(f"--{port}={number}" for port, number in ports.items()))
        path = self._folder / f"{name}.log"
        with path.open("wb") as log:
            starter = self._nodes[name] = subprocess.Popen(
                [BIN / "ray", "start", "--block", "--node-ip-address", LOOPBACK, *told, *options],
                env={
                    **self._variables,
                    **variables,
                    "RAY_OVERRIDE_NODE_ID_FOR_TESTING": node_id,
                },
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # by which its family is known
            )
        give_up_at = time.monotonic() + START_TIMEOUT_S
        while STARTED not in (said := path.read_text()):
            self._tell_port(node_id, ports[LISTENS])
            assert starter.poll() is None, said
            assert not _has_lost_its_raylet(starter.pid), said
            assert time.monotonic() < give_up_at, said
            time.sleep(0.2)

    def _tell_port(self, node_id: str, port: str) -> None:
        """What the agent will write when it is up, as soon as there is a folder for it."""
        folder = Path(self._session) / "session_latest"
        path = folder / f"{LISTENS.replace('-', '_')}_{node_id}"
        if folder.is_dir() and not path.exists():
            path.write_text(port)


@contextmanager
def ray_cluster(folder: Path, variables: Mapping[str, str]) -> Iterator[RayCluster]:
    cluster = RayCluster(folder, variables)
    try:
        yield cluster
    finally:
        cluster.stop()


def _has_lost_its_raylet(starter: int) -> bool:
    """It would wait for it for long."""
    with suppress(psutil.NoSuchProcess):
        children = psutil.Process(starter).children()
        return any(child.status() == psutil.STATUS_ZOMBIE for child in children)
    return False


def _session_of(leader: int) -> list[psutil.Process]:
    """A node's processes, first those that start others. Ray gives workers groups of their own, and
    leaves them in the session."""
    found = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getsid(process.pid) == leader:
                found.append(process)
    return sorted(found, key=lambda process: ("raylet" not in _name(process), process.pid))


def _name(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
