"""POST /check-video-duplicate, as the original client expects it: with answers 200, 400 and 500
only (problems.py).
"""

from __future__ import annotations

import uuid
from dataclasses import replace

from fastapi import APIRouter, Request

from dubl.contract import bodies
from dubl.contract.forms import read_form
from dubl.contract.links import id_in_link
from dubl.contract.orders import CheckOrder, Terms, VideoInput
from dubl.contract.requests import LinkForm
from dubl.errors import DeadlineExceeded, InvalidRequest
from dubl.ledger.ledger import Ledger
from dubl.types import JobState, Outcome
from serve_app.api.access import principal_of
from serve_app.api.context import Context, RouteContext
from serve_app.api.documents import LEGACY
from serve_app.api.routes import LEGACY_PATH
from serve_app.api.submissions import awaited, read_json_object

router = APIRouter(tags=["original client"])


@router.post(
    LEGACY_PATH,
    openapi_extra=LEGACY,
    responses={400: {"description": "Bad request"}, 500: {"description": "Server error"}},
)
async def check_video_duplicate(context: RouteContext, request: Request) -> bodies.OriginalAnswer:
    """Whether the video at `link` copies an earlier one, and which."""
    return await _answer(request, context)


def legacy_order(fields: dict[str, object]) -> CheckOrder:
    """The original client's request: `link` only; other fields are ignored."""
    link = read_form(LinkForm, {"link": fields.get("link")}).link
    if not link:
        raise InvalidRequest("`link` is missing")
    return CheckOrder(id=str(uuid.uuid4()), video=VideoInput(link=link), self_id=id_in_link(link))


async def _answer(request: Request, context: Context) -> bodies.OriginalAnswer:
    order = legacy_order(await read_json_object(request))
    principal = principal_of(request)
    order = replace(order, libraries=principal.limited(order.libraries))
    seconds = context.settings.serve.max_wait_s
    terms = Terms(waits=True, key_id=principal.key_id)
    with context.admission.room(principal.key_id, waits=False):
        with context.admission.accepting():
            job = await context.engine.jobs.accept(order, terms)
        ended = await awaited(context, job, seconds=seconds, terms=terms)
    if ended.job.state is not JobState.DONE:
        raise DeadlineExceeded("the check is not finished yet")
    check = ended.done.check
    if check is None:  # another process has run it
        check = await context.ledger.ask(Ledger.get_check, order.id)
    verdict = check.verdict
    if verdict.outcome is not Outcome.DUPLICATE:
        return bodies.OriginalAnswer(is_duplicate=False, duplicate_for="")
    return bodies.OriginalAnswer(is_duplicate=True, duplicate_for=verdict.matches[0].reference_id)
