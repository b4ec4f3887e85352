"""Health, readiness, metrics and jobs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from dubl.types import JobState
from serve_app.api.conversation import Context, failure
from serve_app.api.schemas import JobBody, JobPage


def system_router(context: Context) -> APIRouter:
    router = APIRouter(tags=["system"])
    service = context.service

    @router.get("/healthz", response_class=PlainTextResponse)
    async def healthz() -> str:
        """200 while the process lives."""
        return "ok"

    @router.get("/readyz")
    async def readyz() -> Response:
        """200 when requests are taken; 503 names what is missing."""
        readiness = await service.readiness()
        body = {
            "ready": readiness.ready,
            "waiting_for": list(readiness.waiting_for),
            **readiness.facts,
        }
        return JSONResponse(body, status_code=200 if readiness.ready else 503)

    @router.get("/metrics")
    async def metrics() -> Response:
        """Prometheus text format."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    @router.get("/v1/jobs", response_model=JobPage)
    async def listing(
        status: JobState | None = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        cursor: str = "",
    ) -> JobPage:
        """Accepted work, newest first."""
        page = await service.list_jobs(state=status, limit=limit, cursor=cursor)
        items = [JobBody.of(job, failure(job)) for job in page.items]
        return JobPage(items=items, next_cursor=page.next_cursor or None)

    @router.get("/v1/jobs/{job_id}", response_model=JobBody)
    async def get(job_id: str) -> JobBody:
        """One job."""
        job = await service.get_job(job_id)
        return JobBody.of(job, failure(job))

    return router
