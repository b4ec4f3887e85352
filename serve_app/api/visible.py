"""Visibility: objects that a caller may not see do not exist for it."""

from __future__ import annotations

from fastapi import Request

from dubl.errors import CheckNotFound, JobNotFound, ReferenceNotFound
from dubl.ledger.job_queue import JobQueue
from dubl.ledger.ledger import Ledger
from dubl.types import Check, Job, Reference
from serve_app.api.context import Context
from serve_app.api.principal import libraries_of, principal_of


async def visible_check(context: Context, request: Request, check_id: str) -> Check:
    """A check. Raises CheckNotFound, also if the caller's key may not see it."""
    return require_check(await context.ledger.ask(Ledger.get_check, check_id), request)


def require_check(check: Check, request: Request) -> Check:
    """A check. Raises CheckNotFound if the caller's key may not see it."""
    if not principal_of(request).sees(check.libraries):
        raise CheckNotFound(f"there is no check '{check.id}'")
    return check


async def visible_reference(context: Context, request: Request, reference_id: str) -> Reference:
    """A reference. Raises ReferenceNotFound, also for one in another key's library."""
    reference: Reference = await context.librarian.get.remote(reference_id)
    if not principal_of(request).sees([reference.library]):
        raise ReferenceNotFound(f"there is no reference '{reference_id}'")
    return reference


async def visible_job(context: Context, request: Request, job_id: str) -> Job:
    """A job. Raises JobNotFound, also for one about another key's library."""
    job = await context.ledger.ask(JobQueue.get, job_id)
    if not principal_of(request).sees(libraries_of(job)):
        raise JobNotFound(f"there is no job '{job_id}'")
    return job
