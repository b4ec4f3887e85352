"""/v1/ledger: the ledger as a file, for back-ups of a running service. For administrators."""

from __future__ import annotations

import uuid

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response
from starlette.background import BackgroundTask

from dubl.ledger.ledger import Ledger
from serve_app.api.context import RouteContext

MEDIA_TYPE = "application/vnd.duckdb"


router = APIRouter(prefix="/v1/ledger", tags=["back-up"])


@router.get("", responses={200: {"content": {MEDIA_TYPE: {}}}}, response_class=Response)
async def copy(context: RouteContext) -> FileResponse:
    """A copy of jobs, verdicts and keys: a DuckDB file."""
    path = context.settings.spool_dir / f"{uuid.uuid4().hex}.ledger"
    await context.ledger.ask(Ledger.copy_to, path)
    remove = BackgroundTask(path.unlink, missing_ok=True)
    return FileResponse(path, media_type=MEDIA_TYPE, background=remove)
