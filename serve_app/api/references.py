"""/v1/references and /v1/libraries: the registered videos."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from dubl.contract import bodies
from dubl.contract.forms import read_form
from dubl.contract.orders import ReferenceOrder, Terms
from dubl.contract.requests import ChangeForm, ReferenceForm
from dubl.errors import ReferenceNotFound
from dubl.types import JobKind, JobState, Page, Reference
from serve_app.api.access import principal_of
from serve_app.api.context import RouteContext, job_for, searched_libraries, visible_reference
from serve_app.api.documents import CHANGE, REFERENCE
from serve_app.api.problems import failure
from serve_app.api.submissions import (
    Submission,
    accepted,
    ordered,
    read_json_object,
    wait_seconds,
)

router = APIRouter(prefix="/v1", tags=["references"])


@router.post(
    "/references",
    status_code=202,
    response_model=bodies.Accepted | bodies.Reference,
    openapi_extra=REFERENCE,
)
async def submit(context: RouteContext, request: Request) -> Response:
    """Registers a video (multipart `file`, or JSON `link` or `path`).

    Answers 202 at once; with `Prefer: wait=N` 201 if it is ready in time, 200 with the reference
    if the same bytes were registered before. 409 `already_registered` (`context.existing_id`) if
    that reference has another id, owner, metadata or rights than were sent; 409 also if the id
    belongs to another video or library.
    """
    seconds = wait_seconds(request, longest=context.settings.serve.max_wait_s)

    async def read(submission: Submission) -> tuple[ReferenceOrder, Terms]:
        form = read_form(ReferenceForm, submission.fields)
        order = form.order(submission.upload)
        principal_of(request).require(order.draft.library)
        return order, replace(form.terms(waits=seconds > 0), known=True)

    ended = await ordered(context, request, read, seconds=seconds)
    job = ended.job
    if job.state is not JobState.DONE:
        return accepted(job, location=_location(job.subject_id))
    made = ended.done.registration
    reference = made.reference if made else await context.librarian.get.remote(job.result_id)
    body = bodies.Reference.of(reference)
    return JSONResponse(
        body.model_dump(),
        status_code=201 if job.created else 200,
        headers={"Location": _location(body.id)},
    )


@router.get("/references")
async def listing(
    context: RouteContext,
    request: Request,
    library: str = "",
    owner: str = "",
    q: str = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: str = "",
) -> bodies.Page[bodies.Reference]:
    """References, newest first; `q` searches id, title and source."""
    allowed = principal_of(request).one_library(library)
    await searched_libraries(context, request, [library] if library else [])
    listed = context.librarian.list.remote(allowed, owner, q, limit, cursor)
    page: Page[Reference] = await listed
    return bodies.Page[bodies.Reference].of(page, bodies.Reference.of)


@router.get("/references/{reference_id:path}")
async def get(
    context: RouteContext, reference_id: str, request: Request
) -> bodies.Reference | bodies.Accepted:
    """One reference, or the progress of its registration."""
    seconds = wait_seconds(request, longest=context.settings.serve.max_wait_s)
    try:
        return bodies.Reference.of(await visible_reference(context, request, reference_id))
    except ReferenceNotFound:
        job = await job_for(context, request, JobKind.REFERENCE, reference_id)
        if job is None:
            raise
    job = (await context.engine.jobs.wait(job, seconds=seconds)).job
    if job.state is JobState.DONE:
        known = await visible_reference(context, request, job.result_id)
        if known.id == reference_id:
            return bodies.Reference.of(known)
        return bodies.Accepted(id=reference_id, job_id=job.id, status=job.state, same_as=known.id)
    return bodies.Accepted(id=reference_id, job_id=job.id, status=job.state, error=failure(job))


@router.patch("/references/{reference_id:path}", openapi_extra=CHANGE)
async def change(context: RouteContext, reference_id: str, request: Request) -> bodies.Reference:
    """Replaces title, owner, metadata or rights; new rights apply to later checks at once."""
    wanted = ChangeForm.change(await read_json_object(request))
    await visible_reference(context, request, reference_id)
    return bodies.Reference.of(await context.librarian.update.remote(reference_id, wanted))


@router.delete("/references/{reference_id:path}", status_code=204)
async def delete(context: RouteContext, reference_id: str, request: Request) -> None:
    """Deletes a reference, or ends its registration. It disappears from all answers at once."""
    try:
        await visible_reference(context, request, reference_id)
    except ReferenceNotFound:
        job = await job_for(context, request, JobKind.REFERENCE, reference_id)
        if job is None or job.state.ended:
            raise
    await context.engine.delete_reference(reference_id)


@router.get("/libraries")
async def libraries(context: RouteContext, request: Request) -> bodies.Items[bodies.Library]:
    """Libraries with the number of their references."""
    counts, sees = await context.librarian.libraries.remote(), principal_of(request).sees
    seen = {name: count for name, count in counts.items() if sees([name])}
    items = (bodies.Library(name=name, references=count) for name, count in sorted(seen.items()))
    return bodies.Items[bodies.Library](items=tuple(items))


def _location(reference_id: str) -> str:
    return f"/v1/references/{quote(reference_id, safe='')}"
