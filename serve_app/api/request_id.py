"""One id for a request in its answer, its errors and the logs of every step."""

from __future__ import annotations

import uuid
from collections.abc import MutableMapping
from contextvars import ContextVar

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "X-Request-ID"
MAX_LENGTH = 128

current_request_id: ContextVar[str] = ContextVar("current_request_id", default="")


def request_id_of(scope: MutableMapping[str, object]) -> str:
    state = scope.get("state")
    return str(state.get("request_id", "")) if isinstance(state, dict) else ""


class RequestIdMiddleware:
    """Takes X-Request-ID from the request (Serve's proxy sets one) or makes one, and answers
    with it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        usable = given.isascii() and given.isprintable() and 0 < len(given) <= MAX_LENGTH
        request_id = given if usable else str(uuid.uuid4())
        scope.setdefault("state", {})["request_id"] = request_id
        token = current_request_id.set(request_id)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            current_request_id.reset(token)
