"""Admission: requests that cannot be served soon are refused at once."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from dubl.contract.shares import require_share
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


class Places:
    """Places of one kind, and the keys that hold them. One key does not get all of them."""

    def __init__(self, places: int, *, share: float, of: str) -> None:
        self._places, self._share, self._of = places, share, of
        self._held: Counter[str] = Counter()

    @property
    def full(self) -> bool:
        return self._held.total() >= self._places

    def require(self, key_id: str) -> None:
        """Raises RateLimited if the key may hold no further place."""
        own = self._held[key_id]
        require_share(
            key_id,
            own,
            others=self._held.total() - own,
            places=self._places,
            share=self._share,
            of=self._of,
        )

    @contextmanager
    def hold(self, key_id: str) -> Iterator[None]:
        """A place for the duration of the block. Raises RateLimited."""
        self.require(key_id)
        self._held[key_id] += 1
        try:
            yield
        finally:
            self._held[key_id] -= 1


class Admission:
    """One for each ingress replica. It counts the requests that wait here for their result, and
    remembers when the ledger last reported that it is full.
    """

    def __init__(self, settings: ServeSettings) -> None:
        self._max_waiting = settings.max_waiting or default_waiting()
        self._waiting = Places(
            self._max_waiting, share=settings.key_share, of="requests that wait for their result"
        )
        self._full_until = 0.0

    def require(self, key_id: str, *, waits: bool) -> None:
        """Raises Overloaded or RateLimited if a request has no place now: before its body is
        read."""
        if time.monotonic() < self._full_until:
            raise Overloaded("the queue of accepted jobs is full")
        if waits and self._waiting.full:
            raise Overloaded(
                f"{self._max_waiting} requests wait for their result already; without "
                "`Prefer: wait` the job is queued"
            )
        if waits:
            self._waiting.require(key_id)

    @contextmanager
    def room(self, key_id: str, *, waits: bool) -> Iterator[None]:
        """A request's place for the duration of the block, once its body is there.

        So a slow body takes no place. Raises Overloaded or RateLimited if there is none.
        """
        self.require(key_id, waits=waits)
        with self._waiting.hold(key_id) if waits else nullcontext():
            yield

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
