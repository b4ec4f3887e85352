"""Answers about quarantines and thresholds, typed."""

from __future__ import annotations

from dubl.client.models import Answer


class Quarantine(Answer):
    """A reference that so many different uploads matched lately, and so many usually; `status`:
    held until a person decides, kept, or released."""

    reference_id: str
    library: str
    status: str
    uploads: int
    usual: float
    created_at: str
    reviewer: str
    note: str
    decided_at: str | None


class LibraryPolicy(Answer):
    """Thresholds of a library; `decisions` None: those of the settings."""

    library: str
    version: str
    duplicate_probability: float
    review_probability: float
    decisions: int | None
    created_at: str | None


class Precision(Answer):
    """Of decided matches from `threshold` on: how many, copies, 95 % interval of their share."""

    threshold: float
    matches: int
    copies: int
    low: float
    high: float


class Calibration(Answer):
    """What people's decisions say of a library, before and after."""

    library: str
    adopted: bool
    decisions: int
    copies: int
    log_loss_before: float
    log_loss_after: float
    duplicate_before: Precision
    duplicate_after: Precision
    review_before: Precision
    review_after: Precision
