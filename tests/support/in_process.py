"""The HTTP application over an engine in this process, served from a thread: the true routes, steps
and jobs, and no Ray."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from dubl.engine.engine import make_engine
from dubl.engine.in_process import LocalSteps
from dubl.settings import Settings
from pipelines.local_server import LOOPBACK, free_port
from serve_app.api.http import make_http_app


@contextmanager
def running_app(settings: Settings) -> Iterator[str]:
    """Its base address. Like the embedded default: no keys, and only pages of this machine may
    ask."""
    port, ready = free_port(), threading.Event()
    servers: list[uvicorn.Server] = []

    async def serve() -> None:
        local = LocalSteps(settings, background=True)
        engine = make_engine(local.steps, settings)
        assert engine.runner is not None
        engine.runner.start()
        app = make_http_app(engine, local=True)
        config = uvicorn.Config(app, host=LOOPBACK, port=port, log_level="warning")
        server = uvicorn.Server(config)
        servers.append(server)
        server.install_signal_handlers = lambda: None
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.02)
        ready.set()
        await serving
        await local.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(120), "the service did not start"
    try:
        yield f"http://{LOOPBACK}:{port}"
    finally:
        servers[0].should_exit = True
        thread.join(30)
