"""A limit on concurrent requests in one process. Serve's own refusals would be plain text."""

from __future__ import annotations

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from dubl.errors import Overloaded
from serve_app.api.problems import problem_response

# An operator must see an overloaded service from inside.
EXEMPT = ("/healthz", "/readyz", "/metrics")


class LoadLimit:
    """Answers 503 above `max_requests`, before reading any of the body."""

    def __init__(self, app: ASGIApp, max_requests: int) -> None:
        self._app = app
        self._max_requests = max_requests
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in EXEMPT:
            await self._app(scope, receive, send)
            return
        if self._under_way >= self._max_requests:
            error = Overloaded(f"{self._under_way} requests are under way already")
            await problem_response(error, Request(scope))(scope, receive, send)
            return
        self._under_way += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._under_way -= 1
