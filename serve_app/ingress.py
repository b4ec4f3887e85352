"""The deployment that receives HTTP requests, and on one machine does all the work."""

from __future__ import annotations

import asyncio
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ray import serve
from ray.serve.handle import DeploymentHandle

from dubl.errors import DublError
from dubl.settings import Settings
from serve_app.log import use_serve_log
from serve_app.metrics import observe_answer

if TYPE_CHECKING:
    from fastapi import FastAPI

    from dubl.engine.flow import Steps
    from dubl.engine.in_process import LocalSteps

logger = logging.getLogger(__name__)

# A check keeps one CPU busy, and waits for a disk at times. More at once end no sooner, and later
# ones overtake earlier ones; so others wait. Chosen.
FURTHER_CHECKS = 1


@serve.ingress()
class Ingress:
    """HTTP in, HTTP out: routes over an engine. Without `steps` they are in this process."""

    def __init__(
        self,
        settings: Settings,
        steps: Steps | None = None,
        consumer: DeploymentHandle | None = None,
    ) -> None:
        from dubl.engine.engine import PATIENCE_S, make_engine
        from dubl.engine.ledger import LedgerClient
        from serve_app.shell import ServeShell
        from serve_app.webhooks import WebhookSender

        del consumer  # is part of the graph, and reached by messages
        use_serve_log()
        self._local: LocalSteps | None = None
        at_once = 0
        if steps is None:
            at_once = len(os.sched_getaffinity(0)) + FURTHER_CHECKS
            self._local = _own_steps(settings)
            steps = self._local.steps
        else:
            from serve_app.handles import serve_steps

            steps = serve_steps(steps)
        send = None
        if settings.serve.broker == "rabbitmq":
            from serve_app.broker import Dispatcher  # Celery is loaded only where it is used

            send = Dispatcher(settings).send
        self._engine = make_engine(steps, settings, send=send, shell=ServeShell(), at_once=at_once)
        self._sender = WebhookSender(LedgerClient(steps.ledger, patience_s=PATIENCE_S), settings)

    async def __serve_build_asgi_app__(self) -> FastAPI:
        from serve_app.api.http import make_http_app
        from serve_app.api.middleware import AnswerTimes
        from serve_app.api.start_rules import is_loopback, keys_required, require_admin_key

        if self._local is not None:
            await _made(self._local)
        self._sender.start()
        if self._engine.runner is not None:
            self._engine.runner.start()
        host = await _http_host()
        required = keys_required(self._engine.settings.access, host)
        app = make_http_app(
            self._engine, keys_required=required, local=is_loopback(host) and not required
        )
        if required:
            require_admin_key(await app.state.context.keys.all(), host)
        app.add_middleware(AnswerTimes, observe=observe_answer)
        return app

    async def __del__(self) -> None:
        """Serve calls this when it stops the replica regularly."""
        if not hasattr(self, "_sender"):  # it did not start
            return
        self._sender.stop()
        if self._engine.runner is not None:
            self._engine.runner.stop()
        if self._local is not None:
            await self._local.close()


async def _made(steps: LocalSteps) -> None:
    """Creates the steps. What keeps one from starting is in the log."""
    try:
        await steps.make()
    except DublError as exc:
        logger.error("the service cannot start: %s: %s", exc.code, exc.detail)
        raise


def _own_steps(settings: Settings) -> LocalSteps:
    """All steps in this process."""
    from dubl.engine.in_process import LocalSteps
    from serve_app.deployments import Embedder
    from serve_app.ledger_deployment import HAND_OVER_S
    from serve_app.shell import ServeShell

    # Threads mostly wait: for the child processes that decode, the disk, one another.
    threads = ThreadPoolExecutor(4 * settings.serve.max_concurrent_jobs)
    asyncio.get_running_loop().set_default_executor(threads)
    return LocalSteps(
        settings,
        background=True,
        shell=ServeShell(),
        embedder=Embedder,
        patience_s=HAND_OVER_S,
    )


async def _http_host() -> str:
    """The address that this cluster's Serve proxies listen on."""
    import ray
    from ray.serve._private.constants import SERVE_CONTROLLER_NAME, SERVE_NAMESPACE

    controller = ray.get_actor(SERVE_CONTROLLER_NAME, namespace=SERVE_NAMESPACE)
    options = await controller.get_http_config.remote()
    return str(options.host or "")
