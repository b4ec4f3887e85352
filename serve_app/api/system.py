"""Health, readiness and metrics."""

from __future__ import annotations

import logging

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from dubl.errors import DublError
from serve_app.api.conversation import Context
from serve_app.api.metrics import show_index, show_quarantines
from serve_app.api.service import Service

logger = logging.getLogger(__name__)


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

    @router.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Prometheus text format; without figures of library and ledger while those are away."""
        try:
            await _show_figures(service)
        except DublError as exc:
            logger.warning("no metrics of library and ledger: %s", exc.detail)
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router


async def _show_figures(service: Service) -> None:
    show_index(await service.index_health())
    show_quarantines(await service.desk.quarantines(state=None))
