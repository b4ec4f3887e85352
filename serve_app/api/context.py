"""What every route needs, injected by FastAPI: `async def route(context: RouteContext)`.

And what it may show: objects that a caller may not see do not exist for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from dubl.engine.engine import Engine
from dubl.engine.handles import Handle
from dubl.engine.ledger import LedgerClient
from dubl.errors import no_check, no_job, no_reference
from dubl.ledger.job_queue import JobQueue
from dubl.ledger.ledger import Ledger
from dubl.ledger.policies import Policies
from dubl.media.spool import Spool
from dubl.settings import Settings
from dubl.types import Check, Job, JobKind, LibraryPolicy, Reference
from serve_app.api.access import KeyRing, principal_of
from serve_app.api.admission import Admission
from serve_app.api.readiness import Readiness


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One per application."""

    engine: Engine
    spool: Spool
    admission: Admission
    keys: KeyRing
    readiness: Readiness

    @property
    def settings(self) -> Settings:
        return self.engine.settings

    @property
    def ledger(self) -> LedgerClient:
        return self.engine.ledger

    @property
    def librarian(self) -> Handle:
        return self.engine.steps.librarian


def context_of(request: Request) -> Context:
    """The context that make_http_app has set."""
    context = request.app.state.context
    assert isinstance(context, Context)
    return context


RouteContext = Annotated[Context, Depends(context_of)]


async def searched_libraries(
    context: Context, request: Request, named: Sequence[str]
) -> tuple[str, ...]:
    """The named libraries, or all of the key's. Raises Forbidden, LibraryNotFound."""
    principal = principal_of(request)
    limited = principal.limited(named)
    await context.engine.require_libraries(named, visible=lambda name: principal.sees([name]))
    return limited


async def policy_of_library(
    context: Context, request: Request, library: str
) -> LibraryPolicy | None:
    """The library's own thresholds. Raises Forbidden, and LibraryNotFound if nothing is known of
    the library."""
    principal_of(request).require(library)
    own = (await context.ledger.ask(Policies.current)).get(library)
    if own is None:
        await searched_libraries(context, request, [library])
    return own


async def visible_check(context: Context, request: Request, check_id: str) -> Check:
    """A check. Raises CheckNotFound, also if the caller's key may not see it."""
    return require_check(await context.ledger.ask(Ledger.get_check, check_id), request)


def require_check(check: Check, request: Request) -> Check:
    """A check. Raises CheckNotFound if the caller's key may not see it."""
    if not principal_of(request).sees(check.libraries):
        raise no_check(check.id)
    return check


async def visible_reference(context: Context, request: Request, reference_id: str) -> Reference:
    """A reference. Raises ReferenceNotFound, also for one in another key's library."""
    reference: Reference = await context.librarian.get.remote(reference_id)
    if not principal_of(request).sees([reference.library]):
        raise no_reference(reference_id)
    return reference


async def job_for(context: Context, request: Request, kind: JobKind, subject_id: str) -> Job | None:
    """The latest job for a check or reference; None also for one that the caller may not see."""
    job = await context.ledger.ask(JobQueue.find, subject_id, kind=kind)
    return job if job is not None and principal_of(request).sees(libraries_of(job)) else None


async def visible_job(context: Context, request: Request, job_id: str) -> Job:
    """A job. Raises JobNotFound, also for one about another key's library."""
    job = await context.ledger.ask(JobQueue.get, job_id)
    if not principal_of(request).sees(libraries_of(job)):
        raise no_job(job_id)
    return job


def libraries_of(job: Job) -> tuple[str, ...]:
    """The libraries of a job; empty: all."""
    draft, libraries = job.request.get("draft"), job.request.get("libraries")
    if isinstance(draft, dict):
        return (str(draft.get("library", "")),)
    return tuple(str(name) for name in libraries) if isinstance(libraries, list | tuple) else ()
