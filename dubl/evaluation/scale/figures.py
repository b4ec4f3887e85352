"""Figures of a library that grows, and its page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dubl.evaluation.benchmark.answers import AnsweredQuery, ranks_of
from dubl.evaluation.benchmark.findings import pair_micro_ap, pair_recall
from dubl.evaluation.metrics.detection import (
    Estimate,
    best_operating_point,
    clopper_pearson,
    strict_f1,
)
from dubl.evaluation.scale.asking import FoundMatch, ScaleAnswer, ScaleQuery
from dubl.evaluation.scale.clips import TRAIN, LibraryClip
from dubl.matching.decision import outcome_of
from dubl.rendering import render
from dubl.settings import PolicySettings
from dubl.types import Match, Outcome

PAGE, SUMMARY = "scale.md", "scale.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class StrangerRow:
    """Strangers of one kind in one library: shares called duplicate and at least sent to review,
    with exact intervals. highest: probability of any match."""

    kind: str
    library: str
    count: int
    duplicate: Estimate
    review: Estimate
    highest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeRow:
    """All queries in a library of one size, by features alone or, with `pixels`, as checked.

    Without planted copies, figures of copies are 0.
    """

    size: int
    pixels: bool
    micro_ap: float
    recall_at_precision_1: float
    strict_f1: float
    best_f1: float
    found: Estimate
    false_positives: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleFindings:
    model_id: str
    policy: PolicySettings
    strangers: Sequence[StrangerRow]
    sizes: Sequence[SizeRow]
    called: Sequence[tuple[str, str, float]]  # strangers called duplicate: query, reference


def scale_findings(
    clips: Sequence[LibraryClip],
    queries: Sequence[ScaleQuery],
    answers: Sequence[ScaleAnswer],
    policy: PolicySettings,
    *,
    model_id: str,
) -> ScaleFindings:
    """All figures of the answers, which are in the order of queries."""
    learned = {clip.id for clip in clips if clip.split == TRAIN}
    pairs = list(zip(queries, answers, strict=True))
    checked = answered(queries, [one.checked for one in answers])
    others = [
        tuple(match for match in answer.checked if match.reference not in learned)
        for answer in answers
    ]
    sizes = sorted({size for _, answer in pairs for size in answer.by_features})
    return ScaleFindings(
        model_id=model_id,
        policy=policy,
        strangers=[
            *_stranger_rows("all clips", checked, policy),
            *_stranger_rows(f"without {TRAIN}", answered(queries, others), policy)[:1],
        ],
        sizes=[
            *(
                _size_row(
                    size,
                    answered(queries, [one.by_features.get(size, ()) for one in answers]),
                    policy,
                    pixels=False,
                )
                for size in sizes
            ),
            _size_row(len(clips), checked, policy, pixels=True),
        ],
        called=[
            (query.name, match.reference_id, match.probability)
            for query in checked
            for match in query.matches[:1]
            if not query.expected and match.probability >= policy.duplicate_probability
        ],
    )


def answered(
    queries: Sequence[ScaleQuery], found: Sequence[Sequence[FoundMatch]]
) -> list[AnsweredQuery]:
    """The queries with these matches, best first, but for those that they leave out."""
    matches = [
        tuple(
            Match(
                reference_id=one.reference,
                library="",
                similarity=one.similarity,
                probability=one.probability,
                segments=(),
            )
            for one in row
            if one.reference not in query.left_out
        )
        for query, row in zip(queries, found, strict=True)
    ]
    return [
        AnsweredQuery(
            name=query.name,
            attack=query.kind,
            strength=None,
            truth=query.truth,
            outcome=Outcome.UNIQUE,
            matches=row,
            ranks=ranks,
        )
        for query, row, ranks in zip(queries, matches, ranks_of(matches), strict=True)
    ]


def _stranger_rows(
    library: str, queries: Sequence[AnsweredQuery], policy: PolicySettings
) -> list[StrangerRow]:
    """All strangers, then those of each kind."""
    strangers = [query for query in queries if not query.expected]
    kinds = sorted({query.attack for query in strangers})
    groups = {"all": strangers} | {
        kind: [query for query in strangers if query.attack == kind] for kind in kinds
    }
    return [
        StrangerRow(
            kind=kind,
            library=library,
            count=len(some),
            duplicate=_share(some, policy, Outcome.DUPLICATE),
            review=_share(some, policy, Outcome.DUPLICATE, Outcome.REVIEW),
            highest=max((query.answer.score for query in some), default=0.0),
        )
        for kind, some in groups.items()
    ]


def _share(
    queries: Sequence[AnsweredQuery], policy: PolicySettings, *outcomes: Outcome
) -> Estimate:
    called = [outcome_of(query.answer.score, policy) in outcomes for query in queries]
    return clopper_pearson(sum(called), len(called))


def _size_row(
    size: int, queries: Sequence[AnsweredQuery], policy: PolicySettings, *, pixels: bool
) -> SizeRow:
    answers, scored = [query.answer for query in queries], [query.scored for query in queries]
    level = policy.duplicate_probability
    copies = [query for query in queries if query.expected]
    found = [query.answer.is_right and query.answer.score >= level for query in copies]
    originals = [query for query in queries if not query.expected]
    return SizeRow(
        size=size,
        pixels=pixels,
        micro_ap=pair_micro_ap(scored),
        recall_at_precision_1=pair_recall(scored, precision=1.0),
        strict_f1=strict_f1(answers, level),
        best_f1=best_operating_point(answers).f1,
        found=clopper_pearson(sum(found), len(found)),
        false_positives=_share(originals, policy, Outcome.DUPLICATE),
    )


def write_scale(out: Path, findings: ScaleFindings) -> None:
    """Writes scale.md and scale.json."""
    out.mkdir(parents=True, exist_ok=True)
    page = render("scale.md", {"findings": findings, "interval": _interval})
    (out / PAGE).write_text(page, encoding="utf-8")
    tree = {
        "model_id": findings.model_id,
        "strangers": [_tree(row) for row in findings.strangers],
        "sizes": [_tree(row) for row in findings.sizes],
        "called": findings.called,
    }
    (out / SUMMARY).write_text(json.dumps(tree, indent=1) + "\n", encoding="utf-8")


def _interval(one: Estimate) -> str:
    return f"{one.low:.4f}–{one.high:.4f}"


def _tree(row: StrangerRow | SizeRow) -> Mapping[str, object]:
    values = {name: getattr(row, name) for name in row.__slots__}
    return {
        name: one._asdict() if isinstance(one, Estimate) else one for name, one in values.items()
    }
