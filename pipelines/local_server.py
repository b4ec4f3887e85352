"""Starts the online service as a child process and waits until it is ready."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

LOOPBACK = "127.0.0.1"
FREE_PORTS = range(20_000, 32_000)  # below what Linux gives to connections; chosen
START_TIMEOUT_S = 300.0
STOP_TIMEOUT_S = 60.0


class ServerFailed(RuntimeError):
    """The service ended or did not become ready; the message holds the end of its log."""


def free_port() -> int:
    """A port on which nobody listens now; none that the system gives to connections, which might
    take it before it is used."""
    while True:
        port = FREE_PORTS.start + secrets.randbelow(len(FREE_PORTS))
        with socket.socket() as probe, suppress(OSError):
            probe.bind((LOOPBACK, port))
            return port


@contextmanager
def running_server(
    data: Path, *, overrides: Sequence[str] = (), port: int | None = None
) -> Iterator[str]:
    """The service on `data`; gives its base address, ends it with SIGTERM."""
    data.mkdir(parents=True, exist_ok=True)
    chosen = port or free_port()
    command = [sys.executable, "-m", "serve_app.main", "--data", str(data), "--port", str(chosen)]
    for override in overrides:
        command += ["--set", override]
    log_path = data / "server.log"
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env={**os.environ}
        )
    try:
        address = f"http://{LOOPBACK}:{chosen}"
        _wait_ready(address, process, log_path)
        yield address
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL for what does not end by it."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_ready(address: str, process: subprocess.Popen[bytes], log_path: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ServerFailed(f"the service stopped during its start:\n{_tail(log_path)}")
        try:
            if httpx.get(f"{address}/readyz", timeout=10).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise ServerFailed(f"the service is not ready after {START_TIMEOUT_S:g} s:\n{_tail(log_path)}")


def _tail(path: Path, *, lines: int = 40) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
