"""/v1/ledger: the ledger as a file, for back-ups of a running service. For administrators."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response
from starlette.background import BackgroundTask

from serve_app.api.access import AdminService

MEDIA_TYPE = "application/vnd.duckdb"


def backup_router(service: AdminService) -> APIRouter:
    router = APIRouter(prefix="/v1/ledger", tags=["back-up"])

    @router.get("", responses={200: {"content": {MEDIA_TYPE: {}}}}, response_class=Response)
    async def copy() -> FileResponse:
        """Jobs, verdicts and keys as of now: a DuckDB file."""
        path = await service.copy_ledger()
        remove = BackgroundTask(path.unlink, missing_ok=True)
        return FileResponse(path, media_type=MEDIA_TYPE, background=remove)

    return router
