"""/v1/jobs and /v1/batches: accepted work, how far it is, and how it is called off."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse

from dubl.contract import bodies
from dubl.contract.orders import JobFilter
from dubl.errors import JobNotFound
from dubl.types import Job, JobKind, JobState, Scope
from serve_app.api.conversation import Context, accepted, discarding, job_body
from serve_app.api.documents import BATCH
from serve_app.api.events import job_events
from serve_app.api.orders import batch_order, terms_of
from serve_app.api.principal import libraries_of, principal_of
from serve_app.api.uploads import read_submission

_PARENTS = (JobKind.BATCH, JobKind.LOOKBACK)
_SCOPES = {JobKind.CHECK: Scope.CHECK, JobKind.REFERENCE: Scope.REGISTER}


def jobs_router(context: Context) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["jobs"])
    service = context.service

    async def body_of(job: Job) -> bodies.Job:
        children = await service.count_children(job.id) if job.kind in _PARENTS else None
        return job_body(job, children)

    async def visible(job_id: str, request: Request) -> Job:
        """A job about another's library is none."""
        job = await service.get_job(job_id)
        if not principal_of(request).sees(libraries_of(job)):
            raise JobNotFound(f"there is no job '{job_id}'")
        return job

    @router.get("/jobs", response_model=bodies.Page[bodies.Job])
    async def listing(
        request: Request,
        status: JobState | None = None,
        batch: str = "",
        dead: bool | None = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        cursor: str = "",
    ) -> bodies.Page[bodies.Job]:
        """Accepted work, newest first. `batch` keeps the children of one; `dead=true` is the
        dead-letter list: jobs that were given up though their input may be good."""
        wanted = JobFilter(state=status, parent_id=batch, dead=dead)
        page = await service.list_jobs(wanted, limit=limit, cursor=cursor)
        sees = principal_of(request).sees
        items = tuple(job_body(job) for job in page.items if sees(libraries_of(job)))
        return bodies.Page[bodies.Job](items=items, next_cursor=page.next_cursor)

    @router.get("/jobs/{job_id}", response_model=bodies.Job)
    async def get(job_id: str, request: Request) -> bodies.Job:
        """One job: its stage and share while it runs, how many children have ended."""
        return await body_of(await visible(job_id, request))

    @router.get(
        "/jobs/{job_id}/events",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {}}}},
    )
    async def events(job_id: str, request: Request) -> StreamingResponse:
        """Server-sent events: `progress` with the job's body whenever it changes, `end` when it
        has ended."""
        job = await visible(job_id, request)
        return StreamingResponse(
            job_events(service, job, body_of),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    @router.delete("/jobs/{job_id}", response_model=bodies.Job)
    async def cancel(job_id: str, request: Request) -> bodies.Job:
        """Ends a job, and a batch with its children; 409 when it has ended."""
        await visible(job_id, request)
        return await body_of(await service.cancel_job(job_id))

    @router.post("/jobs/{job_id}/requeue", status_code=202, response_model=bodies.Job)
    async def requeue(job_id: str, request: Request) -> bodies.Job:
        """Queues a dead job again; 409 when it is not dead."""
        await visible(job_id, request)
        return await body_of(await service.requeue_job(job_id))

    @router.post("/batches", status_code=202, response_model=bodies.Accepted, openapi_extra=BATCH)
    async def submit(request: Request) -> Response:
        """Many checks or registrations: a zip (multipart `file`) or JSON `links`.

        Answers 202 with one job; its children are listed by `/v1/jobs?batch=`.
        """
        with service.room(waits=False):
            submission = await read_submission(request, spool=context.spool)
            async with discarding(submission, context.spool):
                order = batch_order(submission, max_items=context.settings.serve.max_batch_items)
                principal = principal_of(request)
                principal.require_scope(_SCOPES[order.kind])
                order = replace(order, libraries=principal.limited(order.libraries))
                job = await service.submit_batch(order, terms_of(submission, waits=False))
        return accepted(job, location=f"/v1/jobs/{job.id}")

    return router
