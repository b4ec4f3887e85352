"""Bodies of reviews, and the conversion to them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from dubl.types import Decision, Review, ReviewItem


class ReviewRequest(BaseModel):
    """What a person says of a match."""

    model_config = ConfigDict(extra="forbid")

    check_id: str
    reference_id: str
    decision: Decision
    reviewer: str = ""
    note: str = ""


class ReviewBody(BaseModel):
    """One entry in a match's history."""

    id: str
    check_id: str
    reference_id: str
    decision: str
    reviewer: str
    note: str
    created_at: str

    @classmethod
    def of(cls, review: Review) -> ReviewBody:
        return cls(
            id=review.id,
            check_id=review.check_id,
            reference_id=review.reference_id,
            decision=review.decision,
            reviewer=review.reviewer,
            note=review.note,
            created_at=review.created_at,
        )


class ReviewPage(BaseModel):
    items: list[ReviewBody]
    next_cursor: str | None


class ReviewItemBody(BaseModel):
    """A match in the review queue; `state` is open, confirmed, rejected or licensed."""

    check_id: str
    reference_id: str
    library: str
    probability: float
    similarity: float
    query_name: str
    state: str
    reviewer: str
    created_at: str

    @classmethod
    def of(cls, item: ReviewItem) -> ReviewItemBody:
        return cls(
            check_id=item.check_id,
            reference_id=item.reference_id,
            library=item.library,
            probability=round(item.probability, 4),
            similarity=round(item.similarity, 4),
            query_name=item.query_name,
            state=item.state,
            reviewer=item.reviewer,
            created_at=item.created_at,
        )


class ReviewQueuePage(BaseModel):
    """`counts` are of all matches from the policy's review threshold on, by state."""

    items: list[ReviewItemBody]
    next_cursor: str | None
    counts: dict[str, int]
