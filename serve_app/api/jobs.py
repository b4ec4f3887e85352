"""/v1/jobs and /v1/batches: jobs, their progress, and their cancellation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse

from dubl.contract import bodies
from dubl.contract.forms import read_form
from dubl.contract.orders import BatchOrder, Terms
from dubl.contract.requests import BatchForm
from dubl.ledger.job_queue import JobQueue
from dubl.types import Job, JobKind, JobState, Scope
from serve_app.api.access import principal_of
from serve_app.api.context import Context, RouteContext, searched_libraries, visible_job
from serve_app.api.documents import BATCH
from serve_app.api.events import job_events
from serve_app.api.problems import failure
from serve_app.api.submissions import Submission, accepted, ordered

_PARENTS = (JobKind.BATCH, JobKind.LOOKBACK)
_SCOPES = {JobKind.CHECK: Scope.CHECK, JobKind.REFERENCE: Scope.REGISTER}


router = APIRouter(prefix="/v1", tags=["jobs"])


async def body_of(context: Context, job: Job) -> bodies.Job:
    children = None
    if job.kind in _PARENTS:
        children = await context.ledger.ask(JobQueue.count_children, job.id)
    return job_body(job, children)


@router.get("/jobs")
async def listing(
    context: RouteContext,
    request: Request,
    status: JobState | None = None,
    batch: str = "",
    dead: bool | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: str = "",
) -> bodies.Page[bodies.Job]:
    """Jobs, newest first. `batch` selects the jobs of one batch; `dead=true` is the dead-letter
    list: jobs that were given up after their last attempt.
    """
    if batch:
        await visible_job(context, request, batch)
    page = await context.ledger.ask(
        JobQueue.list,
        state=status,
        parent_id=batch,
        dead=dead,
        libraries=principal_of(request).libraries,
        limit=limit,
        cursor=cursor,
    )
    return bodies.Page[bodies.Job].of(page, job_body)


@router.get("/jobs/{job_id}")
async def get(context: RouteContext, job_id: str, request: Request) -> bodies.Job:
    """One job: its stage and share while it runs, and the number of finished children."""
    return await body_of(context, await visible_job(context, request, job_id))


@router.get(
    "/jobs/{job_id}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def events(context: RouteContext, job_id: str, request: Request) -> StreamingResponse:
    """Server-sent events: `progress` with the job's body whenever it changes, `end` when it has
    ended."""
    job = await visible_job(context, request, job_id)
    return StreamingResponse(
        job_events(context, job, partial(body_of, context)),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


@router.delete("/jobs/{job_id}")
async def cancel(context: RouteContext, job_id: str, request: Request) -> bodies.Job:
    """Cancels a job; a batch with all its jobs. 409 if it has ended."""
    await visible_job(context, request, job_id)
    return await body_of(context, await context.engine.jobs.cancel(job_id))


@router.post("/jobs/{job_id}/requeue", status_code=202)
async def requeue(context: RouteContext, job_id: str, request: Request) -> bodies.Job:
    """Queues a dead job again; 409 if it is not dead."""
    await visible_job(context, request, job_id)
    return await body_of(context, await context.engine.jobs.requeue(job_id))


@router.post("/batches", status_code=202, response_model=bodies.Accepted, openapi_extra=BATCH)
async def submit(context: RouteContext, request: Request) -> Response:
    """Submits many checks or registrations: a zip (multipart `file`) or JSON `links`.

    Answers 202 with one job; `/v1/jobs?batch=` lists its children.
    """

    async def read(submission: Submission) -> tuple[BatchOrder, Terms]:
        form = read_form(BatchForm, submission.fields)
        order = form.order(submission.upload, max_items=context.settings.serve.max_batch_items)
        principal = principal_of(request)
        principal.require_scope(_SCOPES[order.kind])
        if order.kind is JobKind.CHECK:
            libraries = await searched_libraries(context, request, order.libraries)
        else:
            libraries = principal.limited(order.libraries)
        order = replace(order, libraries=libraries)
        return order, Terms(callback_url=form.callback_url)

    job = (await ordered(context, request, read)).job
    return accepted(job, location=f"/v1/jobs/{job.id}", id=job.id)


def job_body(job: Job, children: Mapping[JobState, int] | None = None) -> bodies.Job:
    """The answer for a job. `children`: number of a batch's jobs by state."""
    return bodies.Job.of(job, name=name_of(job), error=failure(job), children=children)


def name_of(job: Job) -> str:
    """The caller's name of the video or archive; empty if the job has none."""
    video = _part(job.request, "video")
    named = (
        (_part(video, "upload"), "name"),
        *((video, key) for key in ("link", "path", "lost")),
        (_part(job.request, "archive"), "name"),
        (_part(job.request, "earlier"), "name"),
    )
    return next((str(part[key]) for part, key in named if part.get(key)), "")


def _part(request: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = request.get(key)
    return value if isinstance(value, dict) else {}
