"""Search by a picture, and the most similar references of a checked video."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request

from dubl.contract import bodies
from dubl.contract.forms import read_form
from dubl.contract.orders import FrameSearch
from dubl.contract.requests import FrameForm
from dubl.errors import InvalidRequest
from serve_app.api.access import principal_of
from serve_app.api.context import RouteContext, searched_libraries, visible_check
from serve_app.api.documents import FRAME
from serve_app.api.submissions import Submission, read_submission

Limit = Annotated[int, Query(ge=1, le=50)]


router = APIRouter(tags=["search"])


@router.post("/v1/search/frame", openapi_extra=FRAME)
async def search_frame(
    context: RouteContext, request: Request, limit: Limit = 10
) -> bodies.Items[bodies.FrameFound]:
    """References that show a picture, best first: an image `file`, or the frame of a video at
    `time_s`."""
    key_id = principal_of(request).key_id
    context.admission.require(key_id, waits=True)
    submission = await read_submission(request, spool=context.spool)
    try:
        search = _search(submission, limit=limit)
        allowed = await searched_libraries(context, request, search.libraries)
        with context.admission.room(key_id, waits=True):
            found = await context.engine.search_frame(search.within(allowed))
    finally:
        await asyncio.to_thread(submission.discard, context.spool)
    return bodies.Items[bodies.FrameFound].of(found, bodies.FrameFound.of)


@router.get("/v1/checks/{check_id:path}/nearest")
async def nearest(
    context: RouteContext, check_id: str, request: Request, m: Limit = 5
) -> bodies.Items[bodies.Match]:
    """The `m` most similar references of those that the check compared in full, however weak."""
    check = await visible_check(context, request, check_id)
    return bodies.Items[bodies.Match].of(check.verdict.nearest()[:m], bodies.Match.of)


def _search(submission: Submission, *, limit: int) -> FrameSearch:
    form = read_form(FrameForm, submission.fields)
    if submission.upload is None:
        raise InvalidRequest("send the picture or the video as `file`")
    return FrameSearch(
        source=submission.upload,
        at_s=form.time_s,
        libraries=(form.library,) if form.library else (),
        limit=limit,
    )
