"""ASGI middleware around every request: its id, and the time until its answer."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, MutableMapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dubl.contract.forms import composed

HEADER = "X-Request-ID"
MAX_LENGTH = 128  # characters of a caller's id; chosen
# Method, route as it is declared, status, seconds.
Observe = Callable[[str, str, int, float], None]
NO_ROUTE = "none"


def request_id_of(scope: MutableMapping[str, object]) -> str:
    state = scope.get("state")
    return str(state.get("request_id", "")) if isinstance(state, dict) else ""


class RequestIdMiddleware:
    """Provides the X-Request-ID of a request: in its answer, its errors and all logs.

    Serve's proxy creates one for every request, logs it with each step, and sends it. Without that
    proxy, one is created and sent here.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        request_id = given[:MAX_LENGTH] or str(uuid.uuid4())
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        await self._app(scope, receive, send if given else send_with_id)


class ComposedPath:
    """Ids in addresses in the spelling in which they are stored (NFC)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["path"] = composed(scope["path"])  # in place: the route is noted in this scope
        await self._app(scope, receive, send)


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
