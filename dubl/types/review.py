"""People's decisions on matches."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Decision(StrEnum):
    """What a person says of a match. A comment decides nothing; "licensed" is a copy that may be
    shown; "reopened" takes an earlier decision back."""

    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    LICENSED = "licensed"
    REOPENED = "reopened"
    COMMENT = "comment"


class ReviewState(StrEnum):
    """Where a match stands: by the latest decision on it."""

    OPEN = "open"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    LICENSED = "licensed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """One entry in a match's history. `created_at` is UTC, ISO 8601."""

    id: str
    check_id: str
    reference_id: str
    decision: Decision
    reviewer: str
    note: str
    created_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewItem:
    """A match as the review queue shows it. `created_at` is the check's."""

    check_id: str
    reference_id: str
    library: str
    probability: float
    similarity: float
    query_name: str
    state: ReviewState
    reviewer: str
    created_at: str
