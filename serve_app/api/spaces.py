"""/v1/spaces: which feature space answers. For administrators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Query, Request

from dubl.contract import bodies
from dubl.contract.requests import RollbackRequest, SwitchRequest
from dubl.rights.times import utc_text
from serve_app.api.conversation import Context
from serve_app.api.principal import principal_of

MAX_MISSING = 5000


def spaces_router(context: Context) -> APIRouter:
    router = APIRouter(prefix="/v1/spaces", tags=["feature spaces"])
    board = context.service.switchboard

    @router.get("", response_model=bodies.Spaces)
    async def listing(since: str = "") -> bodies.Spaces:
        """Feature spaces in service, which one answers, and how the other one compares: by shadows
        since a time, in ISO 8601, or by all."""
        after = utc_text(since, name="since") if since else ""
        return bodies.Spaces(
            items=tuple(map(bodies.Space.of, await board.states(since=after))),
            switches=tuple(map(bodies.SpaceSwitch.of, await board.history())),
        )

    @router.get("/{space_id}/missing", response_model=bodies.Page[bodies.MissingReference])
    async def missing(
        space_id: str,
        limit: Annotated[int, Query(ge=1, le=MAX_MISSING)] = 500,
        cursor: str = "",
    ) -> bodies.Page[bodies.MissingReference]:
        """References that the space lacks, in the order of ids."""
        found = await board.missing(space_id, after_id=cursor, limit=limit)
        return bodies.Page[bodies.MissingReference](
            items=tuple(map(bodies.MissingReference.of, found)),
            next_cursor=found[-1].reference.id if len(found) == limit else None,
        )

    @router.post("/switch", response_model=bodies.SpaceSwitch)
    async def switch(request: Request, body: SwitchRequest) -> bodies.SpaceSwitch:
        """Lets a space answer from now on; checks under way are answered by the one before."""
        made = await board.switch(
            body.space_id, force=body.force, by=principal_of(request).key_id, note=body.note
        )
        return bodies.SpaceSwitch.of(made)

    @router.post("/rollback", response_model=bodies.SpaceSwitch)
    async def rollback(
        request: Request, body: Annotated[RollbackRequest | None, Body()] = None
    ) -> bodies.SpaceSwitch:
        """Lets the space answer again that did before the last switch."""
        note = body.note if body is not None else ""
        return bodies.SpaceSwitch.of(
            await board.rollback(by=principal_of(request).key_id, note=note)
        )

    return router
