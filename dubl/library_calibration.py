"""Calibration of a library's thresholds from review decisions, on an open ledger."""

from __future__ import annotations

from dubl.ledger.ledger import Ledger
from dubl.matching.thresholds import fit_thresholds
from dubl.settings import PolicySettings
from dubl.types import MIN_DECISIONS, ThresholdReport


def calibrate_library(
    ledger: Ledger,
    library: str,
    policy: PolicySettings,
    *,
    least_decisions: int = MIN_DECISIONS,
    adopt: bool = True,
) -> ThresholdReport:
    """Fits the thresholds and, if `adopt`, makes them the library's.

    Raises InvalidRequest for too few decisions, StoreUnavailable.
    """
    judged = ledger.policies.judged(library)
    report = fit_thresholds(judged, policy, least_decisions=least_decisions)
    if adopt:
        ledger.policies.adopt(
            library,
            duplicate=report.duplicate_probability,
            review=report.review_probability,
            decisions=report.decisions,
        )
    return report
