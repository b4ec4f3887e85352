"""Admission: requests that cannot be served soon are refused at once."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from dubl.errors import Overloaded
from dubl.settings import ServeSettings
from serve_app.api.problems import problem_response

# An operator must see an overloaded service from inside.
EXEMPT = ("/healthz", "/readyz", "/metrics")

# For how long a full ledger is believed to be full without asking it again.
FULL_FOR_S = 1.0


def default_waiting() -> int:
    """The number of waiting requests that this machine can serve.

    A check keeps one CPU busy. With more of them, each would take more than twice as long as alone
    (benchmarks/overload.py).
    """
    return max(2, len(os.sched_getaffinity(0)))


class Admission:
    """One for each ingress replica. It counts the requests that wait here for their result, and
    remembers when the ledger last reported that it is full.
    """

    def __init__(self, settings: ServeSettings) -> None:
        self._max_waiting = settings.max_waiting or default_waiting()
        self._waiting = 0
        self._full_until = 0.0

    def require(self, *, waits: bool) -> None:
        """Raises Overloaded if a request has no place now: before its body is read."""
        if time.monotonic() < self._full_until:
            raise Overloaded("the queue of accepted jobs is full")
        if waits and self._waiting >= self._max_waiting:
            raise Overloaded(
                f"{self._waiting} requests wait for their result already; without `Prefer: wait` "
                "the job is queued"
            )

    @contextmanager
    def room(self, *, waits: bool) -> Iterator[None]:
        """A request's place for the duration of the block, once its body is there.

        So a slow body takes no place. Raises Overloaded if there is none.
        """
        self.require(waits=waits)
        self._waiting += waits
        try:
            yield
        finally:
            self._waiting -= waits

    @contextmanager
    def accepting(self) -> Iterator[None]:
        """While the ledger is asked to accept a job. Remembers that it is full."""
        try:
            yield
        except Overloaded:
            self._full_until = time.monotonic() + FULL_FOR_S
            raise


class LoadLimit:
    """ASGI middleware. Answers 503 above `max_requests`, before reading any of the body.

    Serve's own refusals would be plain text.
    """

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
