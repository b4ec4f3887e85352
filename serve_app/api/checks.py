"""/v1/checks: does a video copy a registered one?"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from dubl.contract import bodies
from dubl.errors import CheckNotFound
from dubl.types import Check, JobState, Outcome
from serve_app.api.conversation import (
    Context,
    accepted,
    awaited,
    discarding,
    error_of,
    failure,
    wait_seconds,
)
from serve_app.api.documents import CHECK
from serve_app.api.orders import check_order, terms_of
from serve_app.api.principal import libraries_of, principal_of
from serve_app.api.uploads import read_submission

MinProbability = Annotated[float | None, Query(ge=0, le=1)]


def checks_router(context: Context) -> APIRouter:
    router = APIRouter(prefix="/v1/checks", tags=["checks"])
    service, settings = context.service, context.settings

    def body_of(check: Check, min_probability: float | None) -> bodies.Check:
        least = settings.policy.review_probability if min_probability is None else min_probability
        return bodies.Check.of(check, min_probability=least, by_policy=min_probability is None)

    @router.post(
        "", status_code=202, response_model=bodies.Accepted | bodies.Check, openapi_extra=CHECK
    )
    async def submit(
        request: Request,
        library: Annotated[list[str], Query()] = [],  # noqa: B006
        min_probability: MinProbability = None,
    ) -> Response:
        """Asks whether a video (multipart `file`, or JSON `link`) copies a reference.

        Answers 202 at once; with `Prefer: wait=N` 200 and the verdict when it is there in time. An
        `id` of an earlier check of the same bytes and libraries gives its verdict, any other 409.
        """
        seconds = wait_seconds(request, longest=settings.serve.max_wait_s)
        with service.room(waits=seconds > 0):
            submission = await read_submission(request, spool=context.spool)
            async with discarding(submission, context.spool):
                terms = terms_of(submission, waits=seconds > 0)
                order = check_order(submission, library)
                order = replace(order, libraries=principal_of(request).limited(order.libraries))
                job = await service.submit_check(order, terms)
            known = bool(terms.callback_url or submission.fields.get("id"))
            job = await awaited(context, job, seconds=seconds, known=known)
        if job.state in (JobState.FAILED, JobState.CANCELLED):
            raise error_of(job)
        if job.state is not JobState.DONE:
            return accepted(job, location=f"/v1/checks/{quote(job.subject_id, safe='')}")
        body = body_of(await service.get_check(job.subject_id), min_probability)
        return JSONResponse(body.model_dump())

    @router.get("", response_model=bodies.Page[bodies.Check])
    async def listing(
        request: Request,
        outcome: Outcome | None = None,
        reference_id: str = "",
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        cursor: str = "",
        min_probability: MinProbability = None,
    ) -> bodies.Page[bodies.Check]:
        """Finished checks, newest first."""
        page = await service.list_checks(
            outcome=outcome, reference_id=reference_id, limit=limit, cursor=cursor
        )
        seen = [check for check in page.items if principal_of(request).sees(check.libraries)]
        items = tuple(body_of(check, min_probability) for check in seen)
        return bodies.Page[bodies.Check](items=items, next_cursor=page.next_cursor)

    @router.get("/{check_id:path}", response_model=bodies.Check | bodies.Accepted)
    async def get(
        check_id: str, request: Request, min_probability: MinProbability = None
    ) -> bodies.Check | bodies.Accepted:
        """The verdict, or how far the check is."""
        seconds = wait_seconds(request, longest=settings.serve.max_wait_s)
        principal = principal_of(request)
        try:
            check = await service.get_check(check_id)
        except CheckNotFound:
            job = await service.find_job(check_id)
            if not principal.sees(libraries_of(job)):
                raise
        else:
            if not principal.sees(check.libraries):
                raise CheckNotFound(f"there is no check '{check_id}'")
            return body_of(check, min_probability)
        job = await service.wait(job, seconds=seconds)
        if job.state is JobState.DONE:
            check = await service.get_check(check_id)
            if not principal.sees(check.libraries):  # another job of the same id has ended
                raise CheckNotFound(f"there is no check '{check_id}'")
            return body_of(check, min_probability)
        return bodies.Accepted(id=check_id, job_id=job.id, status=job.state, error=failure(job))

    return router
