"""Health, readiness and metrics."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from serve_app.api.context import RouteContext

PROMETHEUS_TEXT = "text/plain; version=0.0.4; charset=utf-8"


router = APIRouter(tags=["system"])


@router.get("/healthz", response_class=PlainTextResponse)
async def healthz() -> str:
    """200 while the process runs."""
    return "ok"


@router.get("/readyz")
async def readyz(context: RouteContext) -> Response:
    """200 when requests are accepted; 503 names the steps that are not ready, with reasons."""
    reasons = await context.readiness.waits_for()
    body = {
        "ready": not reasons,
        "waiting_for": list(reasons),
        "reasons": reasons,
        "running_jobs": context.engine.jobs.running,
    }
    return JSONResponse(body, status_code=503 if reasons else 200)


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(context: RouteContext) -> Response:
    """Metrics of all processes on all nodes in Prometheus' text format, up to ten seconds old."""
    return Response(await context.engine.shell.metrics(), media_type=PROMETHEUS_TEXT)
