"""POST /check-video-duplicate, exactly as the original client knows it: answers 200, 400 and 500
and nothing else."""

from __future__ import annotations

import logging

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from dubl.errors import DeadlineExceeded, DublError, InputError
from dubl.types import JobState, Outcome
from serve_app.api.conversation import Context, awaited, error_of
from serve_app.api.documents import LEGACY
from serve_app.api.orders import legacy_order
from serve_app.api.problems import MEDIA_TYPE, problem
from serve_app.api.request_id import request_id_of
from serve_app.api.schemas import LegacyBody
from serve_app.api.service import Terms
from serve_app.api.uploads import read_json_object

logger = logging.getLogger(__name__)


def legacy_router(context: Context) -> APIRouter:
    router = APIRouter(tags=["original client"])

    @router.post(
        "/check-video-duplicate",
        response_model=LegacyBody,
        openapi_extra=LEGACY,
        responses={400: {"description": "Bad request"}, 500: {"description": "Server error"}},
    )
    async def check_video_duplicate(request: Request) -> Response:
        """Whether the video at `link` copies an earlier one, and which."""
        try:
            return JSONResponse((await _answer(request, context)).model_dump())
        except DublError as exc:
            status = 400 if isinstance(exc, InputError) else 500
            logger.log(logging.ERROR if status == 500 else logging.INFO, "%s: %s", exc.code, exc)
            body = problem(exc) | {"status": status, "request_id": request_id_of(request.scope)}
            return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE)

    return router


async def _answer(request: Request, context: Context) -> LegacyBody:
    order = legacy_order(await read_json_object(request))
    seconds = context.settings.serve.max_wait_s
    with context.service.room(waits=False):
        job = await context.service.submit_check(order, Terms(waits=True))
        job = await awaited(context, job, seconds=seconds, known=False)
    if job.state in (JobState.FAILED, JobState.CANCELLED):
        raise error_of(job)
    if job.state is not JobState.DONE:
        raise DeadlineExceeded("the check is not finished yet")
    verdict = (await context.service.get_check(order.id)).verdict
    if verdict.outcome is not Outcome.DUPLICATE:
        return LegacyBody(is_duplicate=False, duplicate_for="")
    return LegacyBody(is_duplicate=True, duplicate_for=verdict.matches[0].reference_id)
