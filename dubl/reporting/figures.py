"""Shares of decisions with their intervals. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from dubl.evaluation.metrics.detection import Estimate, wilson


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """`part` of `whole`, with a 95 % Wilson interval; None if `whole` is 0."""

    part: int
    whole: int

    @property
    def estimate(self) -> Estimate | None:
        return wilson(self.part, self.whole) if self.whole else None

    @property
    def text(self) -> str:
        found = self.estimate
        if found is None:
            return "nobody has decided yet"
        return (
            f"{found.value:.1%} ({found.low:.1%} to {found.high:.1%}), {self.part} of {self.whole}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """false_duplicates: reviewed duplicates that are not copies. false_reviews: reviewed matches in
    review that are not copies. agreement: pairs of reviewers of one match with the same decision.
    """

    checks: int
    duplicates: int
    reviews: int
    failures: int
    false_duplicates: Share
    false_reviews: Share
    agreement: Share


def figures_of(tables: Mapping[str, pa.Table]) -> Figures:
    days, agreement = tables["days"], tables["agreement"]
    duplicates, reviews = _total(days, "duplicate"), _total(days, "review")
    return Figures(
        checks=duplicates + reviews + _total(days, "unique"),
        duplicates=duplicates,
        reviews=reviews,
        failures=_total(tables["failures"], "jobs"),
        false_duplicates=_decided(tables["decided"], "duplicate"),
        false_reviews=_decided(tables["decided"], "review"),
        agreement=Share(part=_total(agreement, "agreed"), whole=_total(agreement, "shared")),
    )


def _decided(decided: pa.Table, outcome: str) -> Share:
    for row in decided.to_pylist():
        if row["outcome"] == outcome:
            return Share(part=row["no_copy"], whole=row["decided"])
    return Share(part=0, whole=0)


def _total(table: pa.Table, column: str) -> int:
    return sum(table[column].to_pylist())
