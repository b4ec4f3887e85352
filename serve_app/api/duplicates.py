"""/v1/libraries/{library}/duplicates: the last search inside a library."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel

from dubl.errors import NotFound
from dubl.index.duplicates import Duplicates, read_duplicates
from serve_app.api.conversation import Context
from serve_app.api.orders import LIBRARY_PATTERN
from serve_app.api.principal import principal_of

Library = Annotated[str, Path(pattern=f"^(?:{LIBRARY_PATTERN.pattern})$")]


class DuplicateMember(BaseModel):
    id: str
    title: str
    duration_s: float


class DuplicatePair(BaseModel):
    a: str
    b: str
    probability: float


class ClusterBody(BaseModel):
    """The first member is the one to keep."""

    members: list[DuplicateMember]
    pairs: list[DuplicatePair]


class DuplicatesBody(BaseModel):
    """Clusters of videos that copy each other, largest first."""

    library: str
    made_at: str
    clusters: list[ClusterBody]

    @classmethod
    def of(cls, found: Duplicates) -> DuplicatesBody:
        return cls.model_validate(asdict(found))


def duplicates_router(context: Context) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["references"])
    data_dir = context.settings.data_dir

    @router.get("/libraries/{library}/duplicates", response_model=DuplicatesBody)
    async def duplicates(library: Library, request: Request) -> DuplicatesBody:
        """Clusters of videos that copy each other, from the last search inside the library; 404
        where none was made (`dubl dedupe` makes one)."""
        if not principal_of(request).sees([library]):
            raise NotFound(f"there is no library '{library}'")
        return DuplicatesBody.of(await asyncio.to_thread(read_duplicates, data_dir, library))

    return router
