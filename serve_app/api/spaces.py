"""/v1/spaces: which feature space answers. For administrators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from dubl.rights.times import utc_text
from dubl.types import MissingReference, SpaceState, SpaceSwitch
from serve_app.api.conversation import Context
from serve_app.api.orders import TEXT_MAX_LENGTH
from serve_app.api.principal import principal_of

Note = Annotated[str, Field(max_length=TEXT_MAX_LENGTH)]
MOST_MISSING = 5000


class DifferingBody(BaseModel):
    """How often this was answered, and that was what the space would have said."""

    answered: str
    shadow: str
    count: int


class SpaceBody(BaseModel):
    """`missing`: references that the other space holds and this one lacks. Of `shadow_checks`,
    which others answered and this one too, so many were `agreed` on."""

    space_id: str
    model_id: str
    answers: bool
    references: int
    missing: int
    shadow_checks: int
    agreed: int
    differing: list[DifferingBody]

    @classmethod
    def of(cls, one: SpaceState) -> SpaceBody:
        return cls(
            space_id=one.space_id,
            model_id=one.model_id,
            answers=one.answers,
            references=one.references,
            missing=one.missing,
            shadow_checks=one.comparison.count,
            agreed=one.comparison.agreed,
            differing=[
                DifferingBody(answered=answered, shadow=shadow, count=count)
                for (answered, shadow), count in one.comparison.differing.items()
            ],
        )


class SwitchBody(BaseModel):
    """`by`: the key's id; `rollback`: the switch before this one was taken back."""

    space_id: str
    previous_id: str
    created_at: str
    by: str
    note: str
    rollback: bool

    @classmethod
    def of(cls, one: SpaceSwitch) -> SwitchBody:
        return cls(
            space_id=one.space_id,
            previous_id=one.previous_id,
            created_at=one.created_at,
            by=one.by,
            note=one.note,
            rollback=one.rollback,
        )


class SpaceList(BaseModel):
    """Spaces in service, and all switches, newest first."""

    items: list[SpaceBody]
    switches: list[SwitchBody]


class MissingBody(BaseModel):
    """`path`: where the indexing job finds the file; null where nobody knows."""

    id: str
    library: str
    source: str
    path: str | None

    @classmethod
    def of(cls, one: MissingReference) -> MissingBody:
        reference = one.reference
        return cls(
            id=reference.id,
            library=reference.library,
            source=reference.source,
            path=one.path or None,
        )


class MissingList(BaseModel):
    """`next_cursor` is null on the last page."""

    items: list[MissingBody]
    next_cursor: str | None


class SwitchRequest(BaseModel):
    """`force`: even if it lacks references."""

    model_config = ConfigDict(extra="forbid")

    space_id: str
    force: bool = False
    note: Note = ""


class RollbackRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    note: Note = ""


def spaces_router(context: Context) -> APIRouter:
    router = APIRouter(prefix="/v1/spaces", tags=["feature spaces"])
    board = context.service.switchboard

    @router.get("", response_model=SpaceList)
    async def listing(since: str = "") -> SpaceList:
        """Feature spaces in service, which one answers, and how the other one compares: by shadows
        since a time, in ISO 8601, or by all."""
        after = utc_text(since, name="since") if since else ""
        return SpaceList(
            items=[SpaceBody.of(one) for one in await board.states(since=after)],
            switches=[SwitchBody.of(one) for one in await board.history()],
        )

    @router.get("/{space_id}/missing", response_model=MissingList)
    async def missing(
        space_id: str,
        limit: Annotated[int, Query(ge=1, le=MOST_MISSING)] = 500,
        cursor: str = "",
    ) -> MissingList:
        """References that the space lacks, in the order of ids."""
        found = await board.missing(space_id, after_id=cursor, limit=limit)
        return MissingList(
            items=[MissingBody.of(one) for one in found],
            next_cursor=found[-1].reference.id if len(found) == limit else None,
        )

    @router.post("/switch", response_model=SwitchBody)
    async def switch(request: Request, body: SwitchRequest) -> SwitchBody:
        """Lets a space answer from now on; checks under way are answered by the one before."""
        made = await board.switch(
            body.space_id, force=body.force, by=principal_of(request).key_id, note=body.note
        )
        return SwitchBody.of(made)

    @router.post("/rollback", response_model=SwitchBody)
    async def rollback(
        request: Request, body: Annotated[RollbackRequest | None, Body()] = None
    ) -> SwitchBody:
        """Lets the space answer again that did before the last switch."""
        note = body.note if body is not None else ""
        return SwitchBody.of(await board.rollback(by=principal_of(request).key_id, note=note))

    return router
