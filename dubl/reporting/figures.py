"""Shares of decisions with their intervals. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from dubl.evaluation.metrics.detection import Estimate, wilson


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """`part` of `whole`, and what that says of the rest: 95 % Wilson interval. None of nothing."""

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
    """false_duplicates: of matches called duplicate that a person looked at, those that are no
    copy; false_reviews: the same of those sent to a person. agreement: of pairs of reviewers on
    one match, those that say the same."""

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
