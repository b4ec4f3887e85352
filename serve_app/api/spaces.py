"""/v1/spaces: feature spaces and the answering one. For administrators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Query, Request

from dubl.contract import bodies
from dubl.contract.requests import RollbackRequest, SwitchRequest
from dubl.rights.times import utc_text
from serve_app.api.access import principal_of
from serve_app.api.context import RouteContext

MAX_MISSING = 5000  # references of one page; chosen


router = APIRouter(prefix="/v1/spaces", tags=["feature spaces"])


@router.get("")
async def listing(context: RouteContext, since: str = "") -> bodies.Spaces:
    """Feature spaces in service, the answering one, and the comparison with the other one.

    The comparison counts shadow checks since a time (ISO 8601), or all.
    """
    after = utc_text(since, name="since") if since else ""
    return bodies.Spaces(
        items=tuple(map(bodies.Space.of, await context.engine.spaces.states(since=after))),
        switches=tuple(map(bodies.SpaceSwitch.of, await context.engine.spaces.history())),
    )


@router.get("/{space_id}/missing")
async def missing(
    context: RouteContext,
    space_id: str,
    limit: Annotated[int, Query(ge=1, le=MAX_MISSING)] = 500,
    cursor: str = "",
) -> bodies.Page[bodies.MissingReference]:
    """References that the space lacks, sorted by id."""
    found = await context.engine.spaces.missing(space_id, after_id=cursor, limit=limit)
    return bodies.Page[bodies.MissingReference](
        items=tuple(map(bodies.MissingReference.of, found)),
        next_cursor=found[-1].reference.id if len(found) == limit else None,
    )


@router.post("/switch")
async def switch(
    context: RouteContext, request: Request, body: SwitchRequest
) -> bodies.SpaceSwitch:
    """Switches to another answering space; running checks finish in the previous one."""
    made = await context.engine.spaces.switch(
        body.space_id, force=body.force, by=principal_of(request).key_id, note=body.note
    )
    return bodies.SpaceSwitch.of(made)


@router.post("/rollback")
async def rollback(
    context: RouteContext, request: Request, body: Annotated[RollbackRequest | None, Body()] = None
) -> bodies.SpaceSwitch:
    """Switches back to the previous answering space."""
    note = body.note if body is not None else ""
    return bodies.SpaceSwitch.of(
        await context.engine.spaces.rollback(by=principal_of(request).key_id, note=note)
    )
