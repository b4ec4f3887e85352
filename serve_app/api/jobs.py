"""/v1/jobs and /v1/batches: jobs, their progress, and their cancellation."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse

from dubl.contract import bodies
from dubl.ledger.job_queue import JobQueue
from dubl.types import Job, JobKind, JobState, Scope
from serve_app.api.context import Context, RouteContext
from serve_app.api.conversation import accepted, discarding, job_body
from serve_app.api.documents import BATCH
from serve_app.api.events import job_events
from serve_app.api.orders import batch_order, terms_of
from serve_app.api.principal import libraries_of, principal_of
from serve_app.api.uploads import read_submission
from serve_app.api.visible import visible_job

_PARENTS = (JobKind.BATCH, JobKind.LOOKBACK)
_SCOPES = {JobKind.CHECK: Scope.CHECK, JobKind.REFERENCE: Scope.REGISTER}


router = APIRouter(prefix="/v1", tags=["jobs"])


async def body_of(context: Context, job: Job) -> bodies.Job:
    children = None
    if job.kind in _PARENTS:
        children = await context.ledger.ask(JobQueue.count_children, job.id)
    return job_body(job, children)


@router.get("/jobs", response_model=bodies.Page[bodies.Job])
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
    page = await context.ledger.ask(
        JobQueue.list, state=status, parent_id=batch, dead=dead, limit=limit, cursor=cursor
    )
    sees = principal_of(request).sees
    items = tuple(job_body(job) for job in page.items if sees(libraries_of(job)))
    return bodies.Page[bodies.Job](items=items, next_cursor=page.next_cursor)


@router.get("/jobs/{job_id}", response_model=bodies.Job)
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


@router.delete("/jobs/{job_id}", response_model=bodies.Job)
async def cancel(context: RouteContext, job_id: str, request: Request) -> bodies.Job:
    """Cancels a job; a batch with all its jobs. 409 if it has ended."""
    await visible_job(context, request, job_id)
    return await body_of(context, await context.engine.jobs.cancel(job_id))


@router.post("/jobs/{job_id}/requeue", status_code=202, response_model=bodies.Job)
async def requeue(context: RouteContext, job_id: str, request: Request) -> bodies.Job:
    """Queues a dead job again; 409 if it is not dead."""
    await visible_job(context, request, job_id)
    return await body_of(context, await context.engine.jobs.requeue(job_id))


@router.post("/batches", status_code=202, response_model=bodies.Accepted, openapi_extra=BATCH)
async def submit(context: RouteContext, request: Request) -> Response:
    """Submits many checks or registrations: a zip (multipart `file`) or JSON `links`.

    Answers 202 with one job; `/v1/jobs?batch=` lists its children.
    """
    with context.admission.room(waits=False):
        submission = await read_submission(request, spool=context.spool)
        async with discarding(submission, context.spool):
            order = batch_order(submission, max_items=context.settings.serve.max_batch_items)
            principal = principal_of(request)
            principal.require_scope(_SCOPES[order.kind])
            order = replace(order, libraries=principal.limited(order.libraries))
            with context.admission.accepting():
                job = await context.engine.jobs.batch(order, terms_of(submission, waits=False))
    return accepted(job, location=f"/v1/jobs/{job.id}")
