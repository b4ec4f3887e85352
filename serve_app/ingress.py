"""The deployment that receives HTTP requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ray import serve
from ray.serve.handle import DeploymentHandle

from dubl.settings import Settings
from serve_app.log import use_serve_log
from serve_app.metrics import observe_answer

if TYPE_CHECKING:
    from fastapi import FastAPI

    from dubl.engine.flow import Steps


@serve.ingress()
class Ingress:
    """HTTP in, HTTP out: routes over an engine."""

    def __init__(
        self,
        settings: Settings,
        steps: Steps,
        consumer: DeploymentHandle | None = None,
    ) -> None:
        from dubl.engine.engine import PATIENCE_S, make_engine
        from dubl.engine.ledger import LedgerClient
        from serve_app.handles import serve_steps
        from serve_app.shell import ServeShell
        from serve_app.webhooks import WebhookSender

        del consumer  # is part of the graph, and reached by messages
        use_serve_log()
        steps = serve_steps(steps)
        send = None
        if settings.serve.broker == "rabbitmq":
            from serve_app.broker import Dispatcher  # Celery is loaded only where it is used

            send = Dispatcher(settings).send
        self._engine = make_engine(steps, settings, send=send, shell=ServeShell())
        self._sender = WebhookSender(LedgerClient(steps.ledger, patience_s=PATIENCE_S), settings)

    async def __serve_build_asgi_app__(self) -> FastAPI:
        from serve_app.api.http import make_http_app
        from serve_app.api.middleware import AnswerTimes
        from serve_app.api.start_rules import is_loopback, keys_required, require_admin_key

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


async def _http_host() -> str:
    """The address that this cluster's Serve proxies listen on."""
    import ray
    from ray.serve._private.constants import SERVE_CONTROLLER_NAME, SERVE_NAMESPACE

    controller = ray.get_actor(SERVE_CONTROLLER_NAME, namespace=SERVE_NAMESPACE)
    options = await controller.get_http_config.remote()
    return str(options.host or "")
