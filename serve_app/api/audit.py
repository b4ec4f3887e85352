"""The audit log: decisions, changes, exports and deletions over HTTP, with the key of each."""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dubl.contract import bodies
from dubl.engine.ledger import LedgerClient
from dubl.errors import DublError
from dubl.ledger.audit import Audit
from dubl.ledger.clock import utc_now
from dubl.types import AuditEntry
from serve_app.api.access import principal_of
from serve_app.api.context import RouteContext
from serve_app.api.middleware import request_id_of
from serve_app.api.routes import is_audited

logger = logging.getLogger(__name__)
router = APIRouter(prefix="/v1/audit", tags=["keys"])


@router.get("")
async def listing(
    context: RouteContext,
    key_id: str = "",
    since: str = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: str = "",
) -> bodies.Page[bodies.AuditEntry]:
    """The audit log, newest first; of one key, or since a time (UTC, ISO 8601)."""
    page = await context.ledger.ask(
        Audit.list, key_id=key_id, since=since, limit=limit, cursor=cursor
    )
    return bodies.Page[bodies.AuditEntry].of(page, bodies.AuditEntry.of)


def _changes_nothing(scope: Scope) -> bool:
    """Whether the route said so: a preview is no decision."""
    return getattr(Request(scope).state, "changes_nothing", False)


class AuditTrail:
    """ASGI middleware: what was done is in the ledger before it is answered."""

    def __init__(self, app: ASGIApp, *, ledger: LedgerClient) -> None:
        self._app = app
        self._ledger = ledger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not is_audited(scope["method"], scope["path"]):
            await self._app(scope, receive, send)
            return

        begun = False

        async def send_after_entry(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                if message["status"] < 400:
                    await self._add(scope)
            await send(message)

        try:
            await self._app(scope, receive, send_after_entry)
        except asyncio.CancelledError:  # the caller went away; it may be done all the same
            if not begun:
                await asyncio.shield(self._add(scope))
            raise

    async def _add(self, scope: Scope) -> None:
        # A redirect to an address without a slash at its end has no route.
        if "route" not in scope or _changes_nothing(scope):
            return
        principal = principal_of(Request(scope))
        entry = AuditEntry(
            id=uuid.uuid4().hex,
            created_at=utc_now(),
            key_id=principal.key_id,
            key_name=principal.name,
            action=f"{scope['method']} {scope['route'].path}",
            path=scope["path"],
            request_id=request_id_of(scope),
        )
        try:
            await self._ledger.ask(Audit.add, entry)
        except DublError as exc:
            # It is done, and cannot be undone here: the log is where it is told then.
            logger.error("the audit log could not be written (%s): %s", exc, entry)
