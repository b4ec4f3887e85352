"""Prior decisions: rejected references, quarantines, and thresholds fitted to decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryPolicy:
    """A library's own thresholds, fitted to `decisions` decisions; `number` grows with each fit."""

    library: str
    number: int
    duplicate_probability: float
    review_probability: float
    decisions: int
    created_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DecidedMatch:
    """A match that a reviewer has decided; `copied` unless it was rejected."""

    probability: float
    copied: bool


class QuarantineState(StrEnum):
    """HELD until a reviewer decides; KEPT in quarantine, or RELEASED, by a reviewer."""

    HELD = "held"
    KEPT = "kept"
    RELEASED = "released"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine:
    """A reference with a flood of matches.

    uploads: distinct uploads that matched it in the last window; usual: in a usual window.
    """

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
class PriorDecisions:
    """Prior decisions that a new decision depends on.

    rejected: ids of references that, by reviewers, these bytes do not copy. quarantined: ids of
    references that a reviewer keeps in quarantine. policies: libraries' own thresholds, by library.
    """

    rejected: frozenset[str] = frozenset()
    quarantined: frozenset[str] = frozenset()
    policies: Mapping[str, LibraryPolicy] = field(default_factory=dict)


NO_PRIOR_DECISIONS = PriorDecisions()

# Decided matches needed to fit a library's thresholds; chosen.
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
