"""POST /check-video-duplicate, as the original client expects it: with answers 200, 400 and 500
only (problems.py).
"""

from __future__ import annotations

from dataclasses import replace

from fastapi import APIRouter, Request

from dubl.contract import bodies
from dubl.contract.orders import Terms
from dubl.errors import DeadlineExceeded
from dubl.ledger.ledger import Ledger
from dubl.types import JobState, Outcome
from serve_app.api.context import Context, RouteContext
from serve_app.api.conversation import awaited, error_of
from serve_app.api.documents import LEGACY
from serve_app.api.orders import legacy_order
from serve_app.api.principal import principal_of
from serve_app.api.routes import LEGACY_PATH
from serve_app.api.uploads import read_json_object

router = APIRouter(tags=["original client"])


@router.post(
    LEGACY_PATH,
    response_model=bodies.OriginalAnswer,
    openapi_extra=LEGACY,
    responses={400: {"description": "Bad request"}, 500: {"description": "Server error"}},
)
async def check_video_duplicate(context: RouteContext, request: Request) -> bodies.OriginalAnswer:
    """Whether the video at `link` copies an earlier one, and which."""
    return await _answer(request, context)


async def _answer(request: Request, context: Context) -> bodies.OriginalAnswer:
    order = legacy_order(await read_json_object(request))
    order = replace(order, libraries=principal_of(request).limited(order.libraries))
    seconds = context.settings.serve.max_wait_s
    with context.admission.room(waits=False):
        with context.admission.accepting():
            job = await context.engine.jobs.check(order, Terms(waits=True))
        ended = await awaited(context, job, seconds=seconds, known=False)
    job = ended.job
    if job.state in (JobState.FAILED, JobState.CANCELLED):
        raise error_of(job)
    if job.state is not JobState.DONE:
        raise DeadlineExceeded("the check is not finished yet")
    check = ended.done.check
    if check is None:  # another process has run it
        check = await context.ledger.ask(Ledger.get_check, order.id)
    verdict = check.verdict
    if verdict.outcome is not Outcome.DUPLICATE:
        return bodies.OriginalAnswer(is_duplicate=False, duplicate_for="")
    return bodies.OriginalAnswer(is_duplicate=True, duplicate_for=verdict.matches[0].reference_id)
