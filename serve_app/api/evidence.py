"""The evidence of a match: explanation, pictures and stored files."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, Response

from dubl.contract import bodies
from dubl.errors import EvidenceNotKept
from dubl.ledger.retention import Retention
from dubl.matching.matrix_picture import draw_matrix
from dubl.types import (
    Match,
    Matrices,
    StoredVideo,
    TimedMatrix,
)
from serve_app.api.context import Context, RouteContext, visible_check, visible_reference

Stage = Literal["frames", "network", "sound"]
At = Annotated[float, Query(ge=0, description="seconds")]

MATCH = "/v1/checks/{check_id:path}/matches/{reference_id:path}"
PRIVATE = "private, max-age=3600"
# Files of strangers, from the console's own origin: nothing in them may ever run.
INERT = {
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": PRIVATE,
}


router = APIRouter(tags=["evidence"])


@router.get(f"{MATCH}/evidence")
async def evidence(
    context: RouteContext, request: Request, check_id: str, reference_id: str
) -> bodies.Evidence:
    """Segments, pairs of frames, hints about edits, and the meaning of the probability."""
    check = await visible_check(context, request, check_id)
    return await context.engine.explain(check, reference_id)


@router.get(f"{MATCH}/evidence/matrix")
async def matrix(
    context: RouteContext,
    request: Request,
    check_id: str,
    reference_id: str,
    stage: Stage = "frames",
) -> bodies.Matrix:
    """The similarity matrix as numbers: of frames, of frames after the network, or of sound."""
    match = await _match(context, request, check_id, reference_id)
    return bodies.Matrix.of(_stage(await context.engine.evidence.matrices(check_id, match), stage))


@router.get(f"{MATCH}/evidence/matrix.png", response_class=Response)
async def matrix_picture(
    context: RouteContext,
    request: Request,
    check_id: str,
    reference_id: str,
    stage: Stage = "frames",
    segments: bool = True,
) -> Response:
    """The similarity matrix as a picture with the segments: query seconds downwards, reference
    seconds to the right, both from 0 to the end.
    """
    match = await _match(context, request, check_id, reference_id)
    shown = _stage(await context.engine.evidence.matrices(check_id, match), stage)
    picture = await asyncio.to_thread(draw_matrix, shown, match.segments if segments else ())
    return Response(picture, media_type="image/png", headers={"Cache-Control": PRIVATE})


@router.get("/v1/checks/{check_id:path}/picture", response_class=Response)
async def query_picture(
    context: RouteContext, request: Request, check_id: str, at: At = 0.0
) -> Response:
    """The stored frame of a checked video nearest to `at`, JPEG."""
    await visible_check(context, request, check_id)
    return _jpeg(await context.engine.evidence.query_picture(check_id, at))


@router.get("/v1/references/{reference_id:path}/picture", response_class=Response)
async def reference_picture(
    context: RouteContext, request: Request, reference_id: str, at: At = 0.0
) -> Response:
    """The stored frame of a reference nearest to `at`, JPEG."""
    await visible_reference(context, request, reference_id)
    return _jpeg(await context.engine.evidence.reference_picture(reference_id, at))


@router.get("/v1/checks/{check_id:path}/video", response_class=FileResponse)
async def query_video(context: RouteContext, request: Request, check_id: str) -> Response:
    """The checked file, while it is stored; ranges are supported."""
    await visible_check(context, request, check_id)
    return _file(await context.engine.evidence.query(check_id), context)


@router.get("/v1/references/{reference_id:path}/video", response_class=FileResponse)
async def reference_video(context: RouteContext, request: Request, reference_id: str) -> Response:
    """The reference's file, while it is stored; ranges are supported."""
    await visible_reference(context, request, reference_id)
    return _file(await context.engine.evidence.reference(reference_id), context)


@router.delete("/v1/checks/{check_id:path}/evidence", status_code=204)
async def forget(context: RouteContext, request: Request, check_id: str) -> None:
    """Deletes file, pictures and features of a check at once; the verdict stays.

    Answers 409 if the check is under a legal hold.
    """
    await visible_check(context, request, check_id)
    await context.ledger.ask(Retention.require_free, check_id)
    await context.engine.evidence.forget(check_id)


async def _match(context: Context, request: Request, check_id: str, reference_id: str) -> Match:
    check = await visible_check(context, request, check_id)
    return await context.engine.match_of(check, reference_id)


def _stage(matrices: Matrices, stage: Stage) -> TimedMatrix:
    shown, lacking = {
        "frames": (matrices.frames, "one of both has no pictures"),
        "network": (matrices.cleaned, "the model has no network, or one of both no pictures"),
        "sound": (matrices.sound, "no sound of both is stored"),
    }[stage]
    if shown is None:
        raise EvidenceNotKept(lacking)
    return shown


def _jpeg(content: bytes) -> Response:
    return Response(content, media_type="image/jpeg", headers=INERT)


def _file(kept: StoredVideo, context: Context) -> Response:
    """The file's content. Raises EvidenceNotKept if there is none, or it may no longer be read."""
    path = Path(kept.video_path).resolve()
    settings = context.settings
    allowed = (settings.evidence_dir.resolve(), *settings.media.allowed_roots)
    if not kept.video_path or not path.is_file() or not any(map(path.is_relative_to, allowed)):
        raise EvidenceNotKept(f"the file of '{kept.id}' is not stored")
    return FileResponse(path, media_type=kept.media_type, headers=INERT)
