"""What decisions of people and floods of matches make of a library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryPolicy:
    """A library's own thresholds, fitted to so many decisions; `number` grows with each fit."""

    library: str
    number: int
    duplicate_probability: float
    review_probability: float
    decisions: int
    created_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedMatch:
    """A match on which a person has decided: `copied` unless it was rejected."""

    probability: float
    copied: bool


class QuarantineState(StrEnum):
    """HELD until a person decides; KEPT in quarantine by a person; RELEASED."""

    HELD = "held"
    KEPT = "kept"
    RELEASED = "released"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine:
    """A reference that so many different uploads matched lately, and so many usually."""

    reference_id: str
    library: str
    state: QuarantineState
    uploads: int
    usual: float
    created_at: str
    reviewer: str = ""
    note: str = ""
    decided_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the ledger knows that a decision depends on: references that people said these bytes do
    not copy, references in quarantine, and libraries' own thresholds by name."""

    rejected: frozenset[str] = frozenset()
    quarantined: frozenset[str] = frozenset()
    policies: Mapping[str, LibraryPolicy] = field(default_factory=dict)


NO_STANDING = Standing()

# Decisions of people before a library's thresholds are fitted to them.
MIN_DECISIONS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """Precision of the decided matches with a probability of at least `threshold`.

    `low` and `high`: Wilson's 95 % interval of copies / matches.
    """

    threshold: float
    matches: int
    copies: int
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdReport:
    """Fitted thresholds, and the precision that the decisions give to old and new ones."""

    decisions: int
    copies: int
    slope: float
    offset: float
    duplicate_probability: float
    review_probability: float
    log_loss_before: float
    log_loss_after: float
    duplicate_before: Precision
    duplicate_after: Precision
    review_before: Precision
    review_after: Precision
