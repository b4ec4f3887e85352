"""/v1/reviews: the review queue, and decisions."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from dubl.contract import bodies
from dubl.contract.queries import QueueQuery
from dubl.contract.requests import ReviewRequest, ReviewsRequest
from dubl.engine.review_queue import read_queue
from dubl.errors import InvalidRequest
from dubl.ledger.reviews import Reviews
from dubl.types import Scope
from serve_app.api.access import principal_of
from serve_app.api.context import RouteContext, searched_libraries, visible_check

Limit = Annotated[int, Query(ge=1, le=500)]


router = APIRouter(tags=["reviews"])


@router.get("/v1/reviews/queue")
async def queue(
    context: RouteContext, request: Request, query: Annotated[QueueQuery, Query()]
) -> bodies.ReviewQueue:
    """Matches that reach the policy's review threshold; `counts` are of the same filters."""
    await searched_libraries(context, request, [query.library] if query.library else [])
    return await read_queue(context.engine, query, libraries=principal_of(request).libraries)


@router.get("/v1/reviews")
async def history(
    context: RouteContext,
    request: Request,
    check_id: str = "",
    reference_id: str = "",
    limit: Limit = 50,
    cursor: str = "",
) -> bodies.Page[bodies.Review]:
    """Decisions and comments, newest first; a key for some libraries must name a `check_id`."""
    if check_id:
        await visible_check(context, request, check_id)
    elif principal_of(request).libraries:
        raise InvalidRequest("name a `check_id`, as the key is limited to some libraries")
    page = await context.ledger.ask(
        Reviews.list, check_id=check_id, reference_id=reference_id, limit=limit, cursor=cursor
    )
    return bodies.Page[bodies.Review].of(page, bodies.Review.of)


@router.post("/v1/reviews", status_code=201)
async def review(context: RouteContext, request: Request, body: ReviewRequest) -> bodies.Review:
    """Confirms or rejects a match, marks it as licensed, disputes it, upholds or releases it,
    reopens it, or comments on it.

    A rejected match is remembered: the same bytes are not reported again as a copy of this
    reference until it is reopened. With `if_state` it is 409 `state_conflict` if somebody else has
    decided meanwhile; `context` tells who and when. A dispute needs a `note`, and may have an end
    (`until`); only a disputed match can be upheld. `exclude` needs the scope register.
    """
    await visible_check(context, request, body.check_id)
    if body.exclude:
        principal_of(request).require_scope(Scope.REGISTER)
    entry = await context.ledger.ask(
        Reviews.record,
        body.check_id,
        body.reference_id,
        decision=body.decision,
        reviewer=body.reviewer or principal_of(request).name,
        note=body.note,
        if_state=body.if_state,
        until=body.until or "",
    )
    if body.exclude:
        await context.engine.exclude_copied(body.check_id, body.reference_id)
    return bodies.Review.of(entry)


@router.post("/v1/reviews/many")
async def review_many(
    context: RouteContext, request: Request, body: ReviewsRequest
) -> bodies.Reviewed:
    """Decides on up to 500 matches in one step. With `dry_run` nothing is stored.

    Matches in another state than `if_state` are left as they are, and listed as `conflicts`.
    `before` of each match is what takes the decision back.
    """
    seen = {one.check_id for one in body.items} if principal_of(request).libraries else ()
    for check_id in seen:
        await visible_check(context, request, check_id)
    request.state.changes_nothing = body.dry_run
    recorded = await context.ledger.ask(
        Reviews.record_all,
        body.judgements,
        reviewer=body.reviewer or principal_of(request).name,
        note=body.note,
        dry_run=body.dry_run,
    )
    return bodies.Reviewed.of(recorded, dry_run=body.dry_run)
