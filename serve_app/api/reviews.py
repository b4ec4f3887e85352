"""/v1/reviews: the review queue, and decisions."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from dubl.contract import bodies
from dubl.contract.requests import ReviewRequest
from dubl.errors import InvalidRequest
from dubl.ledger.reviews import Reviews
from dubl.types import Outcome, ReviewState
from serve_app.api.access import principal_of
from serve_app.api.context import RouteContext, searched_libraries, visible_check

Limit = Annotated[int, Query(ge=1, le=500)]


router = APIRouter(tags=["reviews"])


@router.get("/v1/reviews/queue")
async def queue(
    context: RouteContext,
    request: Request,
    state: ReviewState | None = None,
    check_id: str = "",
    reference_id: str = "",
    library: str = "",
    outcome: Outcome | None = None,
    q: str = "",
    min_probability: Annotated[float | None, Query(ge=0, le=1)] = None,
    limit: Limit = 50,
    cursor: str = "",
) -> bodies.ReviewQueue:
    """Matches that reach the policy's review threshold, newest checks first; `q` is searched in the
    upload's name and the reference's id."""
    await searched_libraries(context, request, [library] if library else [])
    usual = context.settings.policy.review_probability
    least = usual if min_probability is None else min_probability
    libraries = principal_of(request).libraries
    page = await context.ledger.ask(
        Reviews.queue,
        state=state,
        least_probability=least,
        by_policy=min_probability is None,
        check_id=check_id,
        reference_id=reference_id,
        library=library,
        outcome=outcome,
        text=q,
        libraries=libraries,
        limit=limit,
        cursor=cursor,
    )
    counts = await context.ledger.ask(Reviews.counts, least_probability=usual, libraries=libraries)
    return bodies.ReviewQueue(
        items=tuple(map(bodies.ReviewItem.of, page.items)),
        next_cursor=page.next_cursor,
        counts={name.value: count for name, count in counts.items()},
    )


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
    """Confirms or rejects a match, marks it as licensed, reopens it, or comments on it.

    A rejected match is remembered: the same bytes are not reported again as a copy of this
    reference until it is reopened. With `if_state` it is 409 `state_conflict` if somebody else has
    decided meanwhile; `context` tells who and when.
    """
    await visible_check(context, request, body.check_id)
    entry = await context.ledger.ask(
        Reviews.record,
        body.check_id,
        body.reference_id,
        decision=body.decision,
        reviewer=body.reviewer or principal_of(request).name,
        note=body.note,
        if_state=body.if_state,
    )
    return bodies.Review.of(entry)
