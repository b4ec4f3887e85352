"""/v1/references and /v1/libraries: the registered videos."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from dubl.contract import bodies
from dubl.contract.orders import ReferenceFilter
from dubl.errors import ReferenceNotFound
from dubl.types import JobState, Reference
from serve_app.api.conversation import (
    Context,
    accepted,
    discarding,
    error_of,
    failure,
    wait_seconds,
)
from serve_app.api.documents import CHANGE, REFERENCE
from serve_app.api.orders import reference_change, reference_order, terms_of
from serve_app.api.principal import Principal, libraries_of, principal_of
from serve_app.api.uploads import read_json_object, read_submission


def references_router(context: Context) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["references"])
    service, settings = context.service, context.settings

    async def visible(reference_id: str, principal: Principal) -> Reference:
        """A reference of another's library is none."""
        reference = await service.get_reference(reference_id)
        if not principal.sees([reference.library]):
            raise ReferenceNotFound(f"there is no reference '{reference_id}'")
        return reference

    @router.post(
        "/references",
        status_code=202,
        response_model=bodies.Accepted | bodies.Reference,
        openapi_extra=REFERENCE,
    )
    async def submit(request: Request) -> Response:
        """Registers a video (multipart `file`, or JSON `link` or `path`).

        Answers 202 at once; with `Prefer: wait=N` 201 when it is ready in time, 200 when the same
        bytes or the same id were registered already; 409 where the id is another library's.
        """
        seconds = wait_seconds(request, longest=settings.serve.max_wait_s)
        with service.room(waits=seconds > 0):
            submission = await read_submission(request, spool=context.spool)
            async with discarding(submission, context.spool):
                terms = terms_of(submission, waits=seconds > 0)
                order = reference_order(submission)
                principal_of(request).require(order.draft.library)
                job = await service.submit_reference(order, terms)
            job = await service.wait(job, seconds=seconds)
        if job.state in (JobState.FAILED, JobState.CANCELLED):
            raise error_of(job)
        if job.state is not JobState.DONE:
            return accepted(job, location=_location(job.subject_id))
        body = bodies.Reference.of(await service.get_reference(job.result_id))
        return JSONResponse(
            body.model_dump(),
            status_code=201 if job.created else 200,
            headers={"Location": _location(body.id)},
        )

    @router.get("/references", response_model=bodies.Page[bodies.Reference])
    async def listing(
        request: Request,
        library: str = "",
        owner: str = "",
        q: str = "",
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        cursor: str = "",
    ) -> bodies.Page[bodies.Reference]:
        """References, newest first; `q` looks into id, title and source."""
        allowed = principal_of(request).one_library(library)
        wanted = ReferenceFilter(library=allowed, owner=owner, text=q)
        page = await service.list_references(wanted, limit=limit, cursor=cursor)
        return bodies.Page[bodies.Reference].of(page, bodies.Reference.of)

    @router.get(
        "/references/{reference_id:path}", response_model=bodies.Reference | bodies.Accepted
    )
    async def get(reference_id: str, request: Request) -> bodies.Reference | bodies.Accepted:
        """One reference, or how far its registration is."""
        seconds = wait_seconds(request, longest=settings.serve.max_wait_s)
        principal = principal_of(request)
        try:
            return bodies.Reference.of(await visible(reference_id, principal))
        except ReferenceNotFound:
            job = await service.find_job(reference_id)
            if not principal.sees(libraries_of(job)):
                raise
        job = await service.wait(job, seconds=seconds)
        if job.state is JobState.DONE:
            return bodies.Reference.of(await visible(job.result_id, principal))
        return bodies.Accepted(id=reference_id, job_id=job.id, status=job.state, error=failure(job))

    @router.patch(
        "/references/{reference_id:path}", response_model=bodies.Reference, openapi_extra=CHANGE
    )
    async def change(reference_id: str, request: Request) -> bodies.Reference:
        """Replaces title, owner, metadata or rights; later checks see new rights at once."""
        wanted = reference_change(await read_json_object(request))
        await visible(reference_id, principal_of(request))
        return bodies.Reference.of(await service.update_reference(reference_id, wanted))

    @router.delete("/references/{reference_id:path}", status_code=204)
    async def delete(reference_id: str, request: Request) -> None:
        """Removes a reference from every answer at once."""
        await visible(reference_id, principal_of(request))
        await service.delete_reference(reference_id)

    @router.get("/libraries", response_model=bodies.Items[bodies.Library])
    async def libraries(request: Request) -> bodies.Items[bodies.Library]:
        """Libraries with the number of their references."""
        counts, sees = await service.libraries(), principal_of(request).sees
        seen = {name: count for name, count in counts.items() if sees([name])}
        items = (
            bodies.Library(name=name, references=count) for name, count in sorted(seen.items())
        )
        return bodies.Items[bodies.Library](items=tuple(items))

    return router


def _location(reference_id: str) -> str:
    return f"/v1/references/{quote(reference_id, safe='')}"
