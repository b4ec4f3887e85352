"""Health, readiness and metrics."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from serve_app.api.conversation import Context

PROMETHEUS_TEXT = "text/plain; version=0.0.4; charset=utf-8"


def system_router(context: Context) -> APIRouter:
    router = APIRouter(tags=["system"])
    service = context.service

    @router.get("/healthz", response_class=PlainTextResponse)
    async def healthz() -> str:
        """200 while the process lives."""
        return "ok"

    @router.get("/readyz")
    async def readyz() -> Response:
        """200 when requests are taken; 503 names what is missing, and says why."""
        readiness = await service.readiness()
        body = {
            "ready": readiness.ready,
            "waiting_for": list(readiness.waiting_for),
            "reasons": dict(readiness.reasons),
            **readiness.facts,
        }
        return JSONResponse(body, status_code=200 if readiness.ready else 503)

    @router.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Prometheus text format: of all processes on all nodes, up to ten seconds old."""
        return Response(await service.metrics(), media_type=PROMETHEUS_TEXT)

    return router
