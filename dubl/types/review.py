"""Decisions of reviewers on matches."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Decision(StrEnum):
    """A reviewer's decision on a match.

    "licensed": a copy that may be shown. "reopened": withdraws an earlier decision. "comment":
    decides nothing.
    """

    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    LICENSED = "licensed"
    REOPENED = "reopened"
    COMMENT = "comment"


class ReviewState(StrEnum):
    """The state of a match, by its latest decision."""

    OPEN = "open"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    LICENSED = "licensed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A legal hold: the check is kept until its release. `by`: id of the key that set it."""

    check_id: str
    reason: str
    by: str
    created_at: str


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
    """A match in the review queue. `created_at` is that of its check."""

    check_id: str
    reference_id: str
    library: str
    probability: float
    similarity: float
    query_name: str
    state: ReviewState
    reviewer: str
    created_at: str
