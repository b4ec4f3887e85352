"""/v1/libraries/{library}/duplicates: the latest search inside a library."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Request

from dubl.contract import bodies
from dubl.contract.forms import LIBRARY_PATTERN
from dubl.errors import NotFound
from dubl.index.duplicates import read_duplicates
from serve_app.api.access import principal_of
from serve_app.api.context import RouteContext

Library = Annotated[str, Path(pattern=f"^(?:{LIBRARY_PATTERN.pattern})$")]


router = APIRouter(prefix="/v1", tags=["references"])


@router.get("/libraries/{library}/duplicates")
async def duplicates(
    context: RouteContext, library: Library, request: Request
) -> bodies.Duplicates:
    """Clusters of videos that copy each other, from the latest search inside the library; 404 if
    there was none (`dubl dedupe` runs one).
    """
    if not principal_of(request).sees([library]):
        raise NotFound(f"there is no library '{library}'")
    return await asyncio.to_thread(read_duplicates, context.settings.data_dir, library)
