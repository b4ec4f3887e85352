"""The deployment that callers talk to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ray import serve
from ray.serve.handle import DeploymentHandle

from dubl.settings import Settings
from serve_app.log import use_serve_log
from serve_app.metrics import observe_answer

if TYPE_CHECKING:
    from fastapi import FastAPI

    from serve_app.flow import Steps


@serve.ingress()
class Ingress:
    """HTTP in, HTTP out: routes over a JobService."""

    def __init__(
        self,
        settings: Settings,
        steps: Steps,
        consumer: DeploymentHandle | None = None,
    ) -> None:
        from serve_app.jobs import make_job_service
        from serve_app.keys import LedgerAdmin
        from serve_app.ledger_client import LedgerClient
        from serve_app.webhooks import WebhookSender
        from serve_app.workshop import PATIENCE_S

        del consumer  # is part of the graph, and reached by messages
        use_serve_log()
        self._settings = settings
        self._sender = WebhookSender(LedgerClient(steps.ledger, patience_s=PATIENCE_S), settings)
        self._service = make_job_service(steps, settings)
        self._keys = LedgerAdmin(LedgerClient(steps.ledger), settings)

    async def __serve_build_asgi_app__(self) -> FastAPI:
        from serve_app.api.answer_times import AnswerTimes
        from serve_app.api.http import make_http_app
        from serve_app.api.start_rules import is_loopback, keys_required, require_admin_key
        from serve_app.keys import http_host

        self._sender.start()
        self._service.start()
        host = await http_host()
        required = keys_required(self._settings.access, host)
        if required:
            require_admin_key(await self._keys.list_keys(), host)
        app = make_http_app(
            self._service,
            self._settings,
            keys=self._keys,
            keys_required=required,
            local=is_loopback(host) and not required,
        )
        app.add_middleware(AnswerTimes, observe=observe_answer)
        return app
