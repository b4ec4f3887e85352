"""All results of a run: figures with their 95 % interval over queries, and recall by edit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import nan
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dubl.evaluation.benchmark.answers import (
    AnsweredQuery,
    ScoredQuery,
    answered_queries,
    boxes,
    end_errors,
)
from dubl.evaluation.benchmark.run import SuiteRun
from dubl.evaluation.metrics.detection import (
    Answer,
    Estimate,
    average_precision,
    best_operating_point,
    bootstrap,
    false_positive_rate,
    grouped_average_precision,
    recall_at_precision,
    strict_f1,
    wilson,
)
from dubl.evaluation.metrics.segments import SegmentGains, gains_ap, segment_gains
from dubl.evaluation.metrics.vcsl import VcslPair, vcsl_report
from dubl.evaluation.peers import Peers, score_suite
from dubl.settings import PolicySettings

ROUNDS = 300
SEGMENT_FIGURES = (
    "segment_ap",
    *(f"vcsl_{name}" for name in ("precision", "recall", "f1")),
    *(f"end_error_{part}_s" for part in ("median", "90_percent")),
)
STRANGER = "stranger"

Figures = Mapping[str, Estimate]


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """A threshold of the policy, with its name in figures."""

    name: str
    probability: float


def thresholds(policy: PolicySettings) -> tuple[Threshold, Threshold]:
    """The shipped thresholds, the stricter first."""
    return (
        Threshold(name="duplicate", probability=policy.duplicate_probability),
        Threshold(name="review", probability=policy.review_probability),
    )


def pair_micro_ap(queries: Sequence[ScoredQuery]) -> float:
    """VSC's µAP over all pairs; equal scores count together, pairs without a score count as
    missed."""
    positives = sum(len(query.expected) for query in queries)
    return grouped_average_precision(
        np.concatenate([query.relevant for query in queries]),
        np.concatenate([query.scores for query in queries]),
        positives=positives,
    )


def query_mean_ap(queries: Sequence[ScoredQuery]) -> float:
    """FIVR's mAP: each query ranks the references by itself, so levels need not be comparable."""
    values = [
        average_precision(query.relevant, query.scores, positives=len(query.expected))
        for query in queries
        if query.expected
    ]
    return float(np.mean(values)) if values else 0.0


class PairPoint(NamedTuple):
    """All pairs with at least `score`."""

    score: float
    recall: float
    precision: float


def pair_curve(queries: Sequence[ScoredQuery]) -> list[PairPoint]:
    """One point for each score, the highest first; pair_micro_ap is the area under the staircase.

    Empty if no pair has a score or none is true.
    """
    scores = np.concatenate([query.scores for query in queries])
    relevant = np.concatenate([query.relevant for query in queries])
    positives = sum(len(query.expected) for query in queries)
    if not len(scores) or not positives:
        return []
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    right = np.cumsum(relevant[order])[ends]
    columns = (scores[order][ends], right / positives, right / (ends + 1))
    return list(map(PairPoint, *(column.tolist() for column in columns)))


def lowest_point(queries: Sequence[ScoredQuery], *, precision: float) -> PairPoint:
    """The point of the highest recall with at least this precision; score ∞ if there is none."""
    nothing = PairPoint(float("inf"), 0.0, 1.0)
    reached = [point for point in pair_curve(queries) if point.precision >= precision]
    return max([nothing, *reached], key=lambda point: point.recall)


def pair_recall(queries: Sequence[ScoredQuery], *, precision: float) -> float:
    """Recall of lowest_point."""
    return lowest_point(queries, precision=precision).recall


def clean_answers(answers: Sequence[Answer]) -> float:
    """Recall at precision 1.0 of the top answers: right references above any wrong answer."""
    return recall_at_precision(answers).recall


def ranking_figures(queries: Sequence[ScoredQuery]) -> Figures:
    """Figures without a threshold: the same for Dubl and for its peers.

    `best_f1` is strict F1 at the best threshold for these very queries.
    """
    answers = [query.answer for query in queries]
    return {
        "micro_ap": bootstrap(pair_micro_ap, queries, rounds=ROUNDS),
        "mean_ap": bootstrap(query_mean_ap, queries, rounds=ROUNDS),
        "recall_at_precision_1": bootstrap(
            partial(pair_recall, precision=1.0), queries, rounds=ROUNDS
        ),
        "recall_at_precision_95": bootstrap(
            partial(pair_recall, precision=0.95), queries, rounds=ROUNDS
        ),
        "answer_recall_at_precision_1": bootstrap(clean_answers, answers, rounds=ROUNDS),
        "best_f1": bootstrap(_best_f1, answers, rounds=ROUNDS),
    }


def decision_figures(queries: Sequence[AnsweredQuery], policy: PolicySettings) -> Figures:
    """Figures at the shipped thresholds; recalls and false-positive rates have Wilson intervals."""
    figures: dict[str, Estimate] = {}
    for threshold in thresholds(policy):
        level, name = threshold.probability, threshold.name
        answers = [query.answer for query in queries]
        strict = partial(strict_f1, threshold=level)
        figures[f"strict_f1_{name}"] = bootstrap(strict, answers, rounds=ROUNDS)
        copies = [query.found_at(level) for query in queries if query.expected]
        figures[f"recall_{name}"] = wilson(sum(copies), len(copies))
        for kind, some in originals(queries).items():
            figures[f"false_positives_{kind}_{name}"] = false_positive_rate(
                [query.answer for query in some], level
            )
    return figures


def originals(queries: Sequence[AnsweredQuery]) -> dict[str, list[AnsweredQuery]]:
    """Queries that copy nothing: strangers and hard negatives."""
    found = [query for query in queries if not query.expected]
    strangers = [query for query in found if STRANGER in query.attack]
    return {
        "all": found,
        "strangers": strangers,
        "hard_negatives": [query for query in found if STRANGER not in query.attack],
    }


def segment_figures(queries: Sequence[AnsweredQuery], policy: PolicySettings) -> Figures:
    """VSC's segment AP over all segments, and VCSL's values and end errors (seconds) over the
    matches that reach the review threshold. NaN if the truth of copies has no times.
    """
    if any(query.expected and not query.true_segments() for query in queries):
        return dict.fromkeys(SEGMENT_FIGURES, Estimate(nan, nan, nan))
    level = policy.review_probability
    gains = [segment_gains(query.found_segments(), query.true_segments()) for query in queries]
    pairs = [boxes(query, level) for query in queries]
    errors = [end_errors(query, level) for query in queries if query.expected]
    figures = {"segment_ap": bootstrap(_segment_ap, gains, rounds=ROUNDS)}
    for name in ("precision", "recall", "f1"):
        figures[f"vcsl_{name}"] = bootstrap(partial(_vcsl, name=name), pairs, rounds=ROUNDS)
    figures["end_error_median_s"] = bootstrap(partial(_quantile, share=0.5), errors, rounds=ROUNDS)
    figures["end_error_90_percent_s"] = bootstrap(
        partial(_quantile, share=0.9), errors, rounds=ROUNDS
    )
    return figures


def _best_f1(answers: Sequence[Answer]) -> float:
    return best_operating_point(answers).f1


def _segment_ap(parts: Sequence[SegmentGains]) -> float:
    return gains_ap(parts) if any(part.wanted.min() > 0 for part in parts) else 0.0


def _vcsl(parts: Sequence[Sequence[VcslPair]], *, name: str) -> float:
    report = vcsl_report([pair for pairs in parts for pair in pairs])
    return float(getattr(report, name))


def _quantile(parts: Sequence[Sequence[float]], *, share: float) -> float:
    errors = [error for part in parts for error in part]
    return float(np.quantile(errors, share)) if errors else float("nan")


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


PRECISIONS = (1.0, 0.95)


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodFindings:
    """A method, by its ranking of pairs. `recalls`: recall by edit, by precision of all pairs
    (PRECISIONS)."""

    name: str
    summary: str
    queries: Sequence[ScoredQuery]
    figures: Figures
    recalls: Mapping[float, Mapping[str, Estimate]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """The results of a run of a suite.

    ranking: Dubl's answers in the form of `peers`. skipped_peers: reasons by name.
    """

    suite: Path
    run: SuiteRun
    queries: Sequence[AnsweredQuery]
    figures: Figures
    edits: Sequence[EditRow]
    originals: Sequence[OriginalRow]
    ranking: MethodFindings
    peers: Sequence[MethodFindings]
    skipped_peers: Mapping[str, str]

    @property
    def copies(self) -> list[AnsweredQuery]:
        return [query for query in self.queries if query.expected]


def judge(suite: Path, run: SuiteRun, peers: Peers) -> Findings:
    """Calculates the results of a run, and runs the peers on the same files."""
    queries, policy = answered_queries(run), run.settings.policy
    return Findings(
        suite=suite,
        run=run,
        queries=queries,
        figures=suite_figures(run),
        edits=edit_rows(queries, policy),
        originals=original_rows(queries, policy),
        ranking=_method("Dubl", f"`{run.model_id}`", [query.scored for query in queries]),
        peers=_peer_findings(suite, run, queries, peers),
        skipped_peers=peers.skipped,
    )


def suite_figures(run: SuiteRun) -> Figures:
    """All figures of Dubl itself, by name."""
    queries, policy = answered_queries(run), run.settings.policy
    return {
        **ranking_figures([query.scored for query in queries]),
        **decision_figures(queries, policy),
        **segment_figures(queries, policy),
    }


def _peer_findings(
    suite: Path, run: SuiteRun, queries: Sequence[AnsweredQuery], peers: Peers
) -> list[MethodFindings]:
    if not peers.ready:
        return []
    references = [name for name in run.truth.references if name not in run.same_as]
    scored = score_suite(suite, queries, references, peers.ready, run.settings)
    return [_method(peer.name, peer.summary, scored[peer.name]) for peer in peers.ready]


def _method(name: str, summary: str, queries: Sequence[ScoredQuery]) -> MethodFindings:
    return MethodFindings(
        name=name,
        summary=summary,
        queries=queries,
        figures=ranking_figures(queries),
        recalls={one: recall_by_edit(queries, precision=one) for one in PRECISIONS},
    )
