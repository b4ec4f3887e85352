"""Response times by route."""

from __future__ import annotations

import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Method, route as it is declared, status, seconds.
Observe = Callable[[str, str, int, float], None]
NO_ROUTE = "none"


class AnswerTimes:
    """Calls `observe` for each answer; with 499 if the caller disconnected before it."""

    def __init__(self, app: ASGIApp, observe: Observe) -> None:
        self._app = app
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 499

        async def send_noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, send_noting)
        finally:
            # Paths of no route are anybody's text, and would be a series each.
            route = getattr(scope.get("route"), "path", NO_ROUTE)
            self._observe(scope["method"], route, status, time.perf_counter() - started)
