"""What a caller may see. Whatever else there is does not exist for it."""

from __future__ import annotations

from fastapi import Request

from dubl.errors import CheckNotFound, JobNotFound, ReferenceNotFound
from dubl.ledger.job_queue import JobQueue
from dubl.ledger.ledger import Ledger
from dubl.types import Check, Job, Reference
from serve_app.api.context import Context
from serve_app.api.principal import libraries_of, principal_of


async def visible_check(context: Context, request: Request, check_id: str) -> Check:
    """Raises CheckNotFound, also for a check that the caller's key may not see."""
    return require_check(await context.ledger.ask(Ledger.get_check, check_id), request)


def require_check(check: Check, request: Request) -> Check:
    """The check. Raises CheckNotFound where the caller's key may not see it."""
    if not principal_of(request).sees(check.libraries):
        raise CheckNotFound(f"there is no check '{check.id}'")
    return check


async def visible_reference(context: Context, request: Request, reference_id: str) -> Reference:
    """Raises ReferenceNotFound, also for a reference of a library of others."""
    reference: Reference = await context.librarian.get.remote(reference_id)
    if not principal_of(request).sees([reference.library]):
        raise ReferenceNotFound(f"there is no reference '{reference_id}'")
    return reference


async def visible_job(context: Context, request: Request, job_id: str) -> Job:
    """Raises JobNotFound, also for a job about a library of others."""
    job = await context.ledger.ask(JobQueue.get, job_id)
    if not principal_of(request).sees(libraries_of(job)):
        raise JobNotFound(f"there is no job '{job_id}'")
    return job
