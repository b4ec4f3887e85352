"""/v1/checks: checks whether videos copy a reference."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from dubl.contract import bodies
from dubl.contract.forms import read_form
from dubl.contract.orders import CheckOrder, Terms
from dubl.contract.queries import ChecksQuery
from dubl.contract.requests import CheckForm
from dubl.errors import CheckNotFound
from dubl.ledger.ledger import Ledger
from dubl.types import Check, JobKind, JobState
from serve_app.api.access import principal_of
from serve_app.api.context import (
    Context,
    RouteContext,
    job_for,
    require_check,
    searched_libraries,
    visible_check,
    visible_reference,
)
from serve_app.api.documents import CHECK, UNREADABLE
from serve_app.api.problems import failure
from serve_app.api.submissions import Submission, accepted, ordered, wait_seconds

MinProbability = Annotated[float | None, Query(ge=0, le=1)]


router = APIRouter(prefix="/v1/checks", tags=["checks"])


def body_of(context: Context, check: Check, min_probability: float | None) -> bodies.Check:
    least = context.settings.policy.review_probability
    if min_probability is not None:
        least = min_probability
    return bodies.Check.of(check, min_probability=least, by_policy=min_probability is None)


@router.post(
    "",
    status_code=202,
    response_model=bodies.Accepted | bodies.Check,
    openapi_extra=CHECK,
    responses=UNREADABLE,
)
async def submit(
    context: RouteContext,
    request: Request,
    library: Annotated[list[str], Query()] = [],  # noqa: B006
    min_probability: MinProbability = None,
) -> Response:
    """Checks whether a video (multipart `file`, or JSON `link`) copies a reference.

    Answers 202 at once; with `Prefer: wait=N` 200 and the verdict if it is ready in time. With the
    `id` of an earlier check of the same bytes, libraries and context it answers that verdict, and
    409 for any other id in use.
    """
    seconds = wait_seconds(request, longest=context.settings.serve.max_wait_s)

    async def read(submission: Submission) -> tuple[CheckOrder, Terms]:
        form = read_form(CheckForm, submission.fields)
        order = form.order(submission.upload, library)
        searched = await searched_libraries(context, request, order.libraries)
        if order.reference_id:
            await visible_reference(context, request, order.reference_id)
        return replace(order, libraries=searched), form.terms(waits=seconds > 0)

    ended = await ordered(context, request, read, seconds=seconds)
    job = ended.job
    if job.state is not JobState.DONE:
        return accepted(job, location=f"/v1/checks/{quote(job.subject_id, safe='')}")
    check = ended.done.check
    if check is None:  # another process has run it
        check = await context.ledger.ask(Ledger.get_check, job.subject_id)
    return JSONResponse(body_of(context, check, min_probability).model_dump())


@router.get("")
async def listing(
    context: RouteContext,
    request: Request,
    query: Annotated[ChecksQuery, Query()],
) -> bodies.Page[bodies.Check]:
    """Finished checks, newest first; `q` is searched in the names of uploads."""
    await searched_libraries(context, request, [query.library] if query.library else [])
    page = await context.ledger.ask(
        Ledger.list_checks,
        outcome=query.outcome,
        reference_id=query.reference_id,
        text=query.q,
        sha256=query.sha256,
        library=query.library,
        since=query.since,
        until=query.until,
        libraries=principal_of(request).libraries,
        limit=query.limit,
        cursor=query.cursor,
    )
    return bodies.Page[bodies.Check].of(
        page, lambda one: body_of(context, one, query.min_probability)
    )


@router.get("/{check_id:path}")
async def get(
    context: RouteContext, check_id: str, request: Request, min_probability: MinProbability = None
) -> bodies.Check | bodies.Accepted:
    """The verdict, or the progress of the check."""
    seconds = wait_seconds(request, longest=context.settings.serve.max_wait_s)
    try:
        check = await visible_check(context, request, check_id)
        return body_of(context, check, min_probability)
    except CheckNotFound:
        job = await job_for(context, request, JobKind.CHECK, check_id)
        if job is None:
            raise
    ended = await context.engine.jobs.wait(job, seconds=seconds)
    if ended.job.state is JobState.DONE:  # perhaps another job of the same id
        check = ended.done.check or await visible_check(context, request, check_id)
        return body_of(context, require_check(check, request), min_probability)
    job = ended.job
    return bodies.Accepted(id=check_id, job_id=job.id, status=job.state, error=failure(job))
