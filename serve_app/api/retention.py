"""Deletion of checks, and legal holds, which prevent it."""

from __future__ import annotations

from fastapi import APIRouter, Request

from dubl.contract import bodies
from dubl.contract.requests import HoldRequest
from dubl.ledger.ledger import Ledger
from dubl.ledger.retention import Retention
from dubl.types import Scope
from serve_app.api.access import principal_of
from serve_app.api.context import RouteContext, visible_check

router = APIRouter(prefix="/v1", tags=["retention"])


@router.get("/holds")
async def holds(context: RouteContext, request: Request) -> bodies.Items[bodies.Hold]:
    """Checks under a legal hold, newest first."""
    seen = []
    for one in await context.ledger.ask(Retention.holds):
        check = await context.ledger.ask(Ledger.get_check, one.check_id)
        if principal_of(request).sees(check.libraries):
            seen.append(one)
    return bodies.Items[bodies.Hold].of(seen, bodies.Hold.of)


@router.put("/checks/{check_id:path}/hold")
async def hold(
    context: RouteContext, request: Request, check_id: str, body: HoldRequest
) -> bodies.Hold:
    """Keeps a check and its evidence, whatever their age, until the hold is released."""
    await visible_check(context, request, check_id)
    by = principal_of(request).key_id
    return bodies.Hold.of(
        await context.ledger.ask(Retention.hold, check_id, reason=body.reason, by=by)
    )


@router.delete("/checks/{check_id:path}/hold", status_code=204)
async def release(context: RouteContext, request: Request, check_id: str) -> None:
    """Ends a legal hold."""
    principal_of(request).require_scope(Scope.ADMIN)
    await visible_check(context, request, check_id)
    await context.ledger.ask(Retention.release, check_id)


@router.delete("/checks/{check_id:path}", status_code=204)
async def delete(context: RouteContext, request: Request, check_id: str) -> None:
    """Deletes a check: verdict, matches, decisions, evidence, features, jobs and webhooks.

    Answers 409 if it is under a legal hold.
    """
    principal_of(request).require_scope(Scope.ADMIN)
    await visible_check(context, request, check_id)
    await context.engine.delete_check(check_id)
