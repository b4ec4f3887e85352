"""The whole service in this process: the real deployments, jobs and routes, and no Ray between
them. For tests that need true verdicts and true pictures, but no cluster."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from dubl.assembly import make_space, space_settings
from dubl.settings import Settings
from pipelines.local_server import LOOPBACK, free_port
from serve_app import progress
from serve_app.api.http import make_http_app
from serve_app.deployments import (
    Decoder,
    Embedder,
    Librarian,
    Reranker,
    Retriever,
)
from serve_app.flow import Lane, Steps
from serve_app.jobs import make_job_service
from serve_app.keys import LedgerAdmin
from serve_app.ledger_client import LedgerClient
from serve_app.ledger_deployment import Ledger

# Stages are read from Ray's own objects; nobody looks at them here.
progress.LOOK_S = 3600.0


class _Method:
    def __init__(self, method: object) -> None:
        self._method = method

    def remote(self, *arguments: object) -> asyncio.Task[object]:
        call = asyncio.ensure_future(self._call(arguments))
        # Like a response that nobody awaits: an error in it is no news to anybody.
        call.add_done_callback(lambda done: done.cancelled() or done.exception())
        return call

    async def _call(self, arguments: tuple[object, ...]) -> object:
        values = [await one if inspect.isawaitable(one) else one for one in arguments]
        return await self._method(*values)


class _Handle:
    """What a DeploymentHandle is to the flow: calls give awaitables, which calls also take."""

    def __init__(self, deployment: object) -> None:
        self.deployment = deployment

    def __getattr__(self, name: str) -> _Method:
        return _Method(getattr(self.deployment, name))


async def start_steps(settings: Settings) -> Steps:
    """All deployments, living in the running loop."""
    return Steps(
        decoder=await _started(Decoder, settings),
        lanes=tuple([await _lane(each) for each in space_settings(settings)]),
        librarian=await _started(Librarian, settings),
        ledger=await _started(Ledger, settings),
    )


async def _lane(settings: Settings) -> Lane:
    return Lane(
        space=make_space(settings),
        embedder=await _started(Embedder, settings),
        retriever=await _started(Retriever, settings),
        reranker=await _started(Reranker, settings),
    )


async def make_app(steps: Steps, settings: Settings) -> FastAPI:
    """The HTTP application over them."""
    service = make_job_service(steps, settings)
    service.start()
    keys = LedgerAdmin(LedgerClient(steps.ledger), settings)
    # Like the embedded default: no keys, and only pages of this machine may ask.
    return make_http_app(service, settings, keys=keys, local=True)


async def _started(kind: type, settings: Settings) -> _Handle:
    deployment = kind.__new__(kind)
    starting: Awaitable[None] | None = deployment.__init__(settings)
    if starting is not None:
        await starting
    for name, method in vars(kind).items():
        if hasattr(method, "set_max_batch_size"):
            setattr(deployment, name, _unbatched(method.__wrapped__, deployment))
    return _Handle(deployment)


def _unbatched(method: Callable[..., Awaitable[list[object]]], deployment: object) -> object:
    """Serve's batches belong to the class, and so to the event loop of its first use: here each
    call is a batch of its own."""

    async def call(item: object) -> object:
        return (await method(deployment, [item]))[0]

    return call


@contextmanager
def running_app(settings: Settings) -> Iterator[str]:
    """Serves the application from a thread; gives its base address."""
    port, ready = free_port(), threading.Event()
    servers: list[uvicorn.Server] = []

    async def serve() -> None:
        steps = await start_steps(settings)
        config = uvicorn.Config(
            await make_app(steps, settings), host=LOOPBACK, port=port, log_level="warning"
        )
        server = uvicorn.Server(config)
        servers.append(server)
        server.install_signal_handlers = lambda: None
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.02)
        ready.set()
        await serving
        steps.ledger.deployment.__del__()  # as Serve does with a replica that it stops
        steps.ledger.deployment._ledger.close()
        steps.decoder.deployment._decoder.close()
        # FastAPI's caches hold routes and so all of this; DuckDB wants to be let go before the end.
        steps.ledger.deployment = None

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(120), "the service did not start"
    try:
        yield f"http://{LOOPBACK}:{port}"
    finally:
        servers[0].should_exit = True
        thread.join(30)
