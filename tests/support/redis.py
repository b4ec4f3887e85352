"""A Redis of Debian's package on a free port of the loopback, in memory alone."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipelines.local_server import LOOPBACK, free_port

START_TIMEOUT_S = 60.0


def is_installed() -> bool:
    return shutil.which("redis-server") is not None


@contextmanager
def running_redis(folder: Path) -> Iterator[str]:
    """Its address, host:port."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    options = {"port": port, "bind": LOOPBACK, "dir": folder, "save": "", "appendonly": "no"}
    command = [
        "redis-server",
        *(str(text) for key, value in options.items() for text in (f"--{key}", value)),
    ]
    with (folder / "redis.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _wait_answers(port, process)
        yield f"{LOOPBACK}:{port}"
    finally:
        process.terminate()
        process.wait(30)


def _wait_answers(port: int, process: subprocess.Popen[bytes]) -> None:
    give_up_at = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < give_up_at:
        with suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=5):
            return
        time.sleep(0.1)
    raise AssertionError("redis-server did not start")
