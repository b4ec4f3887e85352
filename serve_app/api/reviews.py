"""/v1/reviews: matches that wait for a person, and what people decided."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from dubl.contract import bodies
from dubl.contract.requests import TEXT_MAX_LENGTH, ReviewRequest
from dubl.errors import InvalidRequest
from dubl.types import Decision, ReviewState
from serve_app.api.conversation import Context
from serve_app.api.desk import QueueFilter
from serve_app.api.evidence import visible
from serve_app.api.principal import principal_of

Limit = Annotated[int, Query(ge=1, le=500)]


def reviews_router(context: Context) -> APIRouter:
    router = APIRouter(tags=["reviews"])
    service, policy = context.service, context.settings.policy

    @router.get("/v1/reviews/queue", response_model=bodies.ReviewQueue)
    async def queue(
        request: Request,
        state: ReviewState | None = None,
        check_id: str = "",
        reference_id: str = "",
        min_probability: Annotated[float | None, Query(ge=0, le=1)] = None,
        limit: Limit = 50,
        cursor: str = "",
    ) -> bodies.ReviewQueue:
        """Matches from the policy's review threshold on, those of the newest checks first."""
        least = policy.review_probability if min_probability is None else min_probability
        wanted = QueueFilter(
            state=state,
            least_probability=least,
            by_policy=min_probability is None,
            check_id=check_id,
            reference_id=reference_id,
        )
        page = await service.desk.queue(wanted, limit=limit, cursor=cursor)
        sees = principal_of(request).sees
        counts = await service.desk.counts(least_probability=policy.review_probability)
        return bodies.ReviewQueue(
            items=tuple(bodies.ReviewItem.of(item) for item in page.items if sees([item.library])),
            next_cursor=page.next_cursor,
            counts={name.value: count for name, count in counts.items()},
        )

    @router.get("/v1/reviews", response_model=bodies.Page[bodies.Review])
    async def history(
        request: Request,
        check_id: str = "",
        reference_id: str = "",
        limit: Limit = 50,
        cursor: str = "",
    ) -> bodies.Page[bodies.Review]:
        """Decisions and comments, newest first; a key of some libraries names a `check_id`."""
        if check_id:
            visible(await service.get_check(check_id), request)
        elif principal_of(request).libraries:
            raise InvalidRequest("name a `check_id`: the key is for some libraries alone")
        page = await service.desk.reviews(
            check_id=check_id, reference_id=reference_id, limit=limit, cursor=cursor
        )
        return bodies.Page[bodies.Review].of(page, bodies.Review.of)

    @router.post("/v1/reviews", status_code=201, response_model=bodies.Review)
    async def review(request: Request, body: ReviewRequest) -> bodies.Review:
        """Confirms or rejects a match, calls it licensed, reopens it, or comments on it.

        "Not a match" (rejected) is remembered: the same bytes are not reported again as a copy of
        this reference, until it is reopened.
        """
        if body.decision is Decision.COMMENT and not body.note.strip():
            raise InvalidRequest("a comment needs a `note`")
        if max(len(body.note), len(body.reviewer)) > TEXT_MAX_LENGTH:
            raise InvalidRequest(f"a text is longer than {TEXT_MAX_LENGTH} characters")
        visible(await service.get_check(body.check_id), request)
        entry = await service.desk.review(
            body.check_id,
            body.reference_id,
            decision=body.decision,
            reviewer=body.reviewer,
            note=body.note,
        )
        return bodies.Review.of(entry)

    return router
