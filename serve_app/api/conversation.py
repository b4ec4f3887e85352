"""Answers to submissions: 202 at once, or the result after `Prefer: wait=N` (RFC 7240)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from fastapi import Request
from fastapi.responses import JSONResponse

from dubl.contract import bodies
from dubl.engine.runner import Ended
from dubl.errors import DublError, InputError, Overloaded, StateConflict, error_class
from dubl.media.spool import Spool
from dubl.types import Job, JobState
from serve_app.api.context import Context
from serve_app.api.problems import problem
from serve_app.api.uploads import Submission

WAIT_PATTERN = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d+(?:\.\d+)?)\"?")


def wait_seconds(request: Request, *, longest: float) -> float:
    """The seconds in Prefer: wait=N; 0 without it."""
    found = WAIT_PATTERN.search(request.headers.get("prefer", "").lower())
    return min(float(found.group(1)), longest) if found else 0.0


async def awaited(context: Context, job: Job, *, seconds: float, known: bool) -> Ended:
    """The job when it ends, or after `seconds`.

    The job is cancelled if the caller disconnects before and cannot know of it: without an answer,
    an id of its own, or a callback. Acknowledged jobs are never cancelled.
    """
    try:
        return await context.engine.jobs.wait(job, seconds=seconds)
    except asyncio.CancelledError:
        if not known:
            context.engine.jobs.abandon(job)
        raise


@asynccontextmanager
async def discarding(submission: Submission, spool: Spool) -> AsyncIterator[None]:
    """Removes the file of a refused submission.

    After other errors the job may have been accepted. Then the file stays, and the reconciler
    removes it if no job needs it.
    """
    try:
        yield
    except (InputError, Overloaded):
        await asyncio.to_thread(submission.discard, spool)
        raise


def accepted(job: Job, *, location: str) -> JSONResponse:
    """202 with the address of the result."""
    body = bodies.Accepted(id=job.subject_id, job_id=job.id, status=job.state)
    return JSONResponse(
        body.model_dump(exclude_none=True), status_code=202, headers={"Location": location}
    )


def error_of(job: Job) -> DublError:
    """The error with which a job failed, as it was raised."""
    if job.state is JobState.CANCELLED:
        return StateConflict("the job was cancelled")
    return error_class(job.error_code)(job.error_detail)


def job_body(job: Job, children: Mapping[JobState, int] | None = None) -> bodies.Job:
    """The answer for a job. `children`: number of a batch's jobs by state."""
    return bodies.Job.of(job, name=name_of(job), error=failure(job), children=children)


def failure(job: Job) -> bodies.Failure | None:
    """The problem of a failed job, or None."""
    failed = job.state is JobState.FAILED
    return bodies.Failure.model_validate(problem(error_of(job))) if failed else None


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
