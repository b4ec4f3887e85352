"""Recall by edit: how many copies of each edit are found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dubl.evaluation.benchmark.answers import AnsweredQuery, ScoredQuery
from dubl.evaluation.benchmark.figures import lowest_point
from dubl.evaluation.benchmark.seconds import end_errors
from dubl.evaluation.metrics.detection import Estimate, wilson
from dubl.settings import PolicySettings


@dataclass(frozen=True, slots=True, kw_only=True)
class EditRow:
    """One edit. Recalls are shares of its `count` copies, with Wilson intervals.

    duplicate, review: a true reference reaches that threshold. top: it is the best match.
    end_error_s: median; NaN if none was found.
    """

    edit: str
    count: int
    duplicate: Estimate
    review: Estimate
    top: Estimate
    end_error_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginalRow:
    """One kind of query that copies nothing: shares of `count` that are called a duplicate, or at
    least sent to review.
    """

    kind: str
    count: int
    duplicate: Estimate
    review: Estimate
    highest: float


def edit_rows(queries: Sequence[AnsweredQuery], policy: PolicySettings) -> list[EditRow]:
    """One row for each edit, the weakest first."""
    copies = [query for query in queries if query.expected]
    rows = [
        _edit_row(edit, [one for one in copies if one.attack == edit], policy)
        for edit in sorted({query.attack for query in copies})
    ]
    return sorted(rows, key=lambda row: (row.duplicate.value, row.review.value, row.edit))


def recall_by_edit(queries: Sequence[ScoredQuery], *, precision: float) -> dict[str, Estimate]:
    """Share of each edit's copies with a true pair, at the threshold where all pairs of the set
    have this precision; 1.0: no false pairs.
    """
    floor = lowest_point(queries, precision=precision).score
    groups: dict[str, list[bool]] = {}
    for query in queries:
        if query.expected:
            best = query.scores[query.relevant].max(initial=-np.inf)
            groups.setdefault(query.attack, []).append(bool(best >= floor))
    return {edit: wilson(sum(groups[edit]), len(groups[edit])) for edit in sorted(groups)}


def original_rows(queries: Sequence[AnsweredQuery], policy: PolicySettings) -> list[OriginalRow]:
    """One row for each kind of original, by name."""
    kinds = sorted({query.attack for query in queries if not query.expected})
    return [
        _original_row(
            kind, [one for one in queries if not one.expected and one.attack == kind], policy
        )
        for kind in kinds
    ]


def _edit_row(edit: str, queries: Sequence[AnsweredQuery], policy: PolicySettings) -> EditRow:
    count = len(queries)
    errors = [error for query in queries for error in end_errors(query, policy.review_probability)]
    return EditRow(
        edit=edit,
        count=count,
        duplicate=wilson(sum(one.found_at(policy.duplicate_probability) for one in queries), count),
        review=wilson(sum(one.found_at(policy.review_probability) for one in queries), count),
        top=wilson(sum(one.answer.is_right for one in queries), count),
        end_error_s=float(np.median(errors)) if errors else float("nan"),
    )


def _original_row(
    kind: str, queries: Sequence[AnsweredQuery], policy: PolicySettings
) -> OriginalRow:
    scores = [query.answer.score for query in queries]
    count = len(scores)
    return OriginalRow(
        kind=kind,
        count=count,
        duplicate=wilson(sum(one >= policy.duplicate_probability for one in scores), count),
        review=wilson(sum(one >= policy.review_probability for one in scores), count),
        highest=max(scores),
    )
