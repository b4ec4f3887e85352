"""Any ASGI application behind a real socket, from a thread of this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from pipelines.local_server import LOOPBACK, free_port

START_TIMEOUT_S = 30.0


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """Gives the base address."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, host=LOOPBACK, port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    give_up_at = time.monotonic() + START_TIMEOUT_S
    while not server.started:
        assert time.monotonic() < give_up_at, "the server did not start"
        time.sleep(0.01)
    try:
        yield f"http://{LOOPBACK}:{port}"
    finally:
        server.should_exit = True
        thread.join(START_TIMEOUT_S)
