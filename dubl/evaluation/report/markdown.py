"""report.md: the page that a person reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dubl.evaluation.benchmark.figures import thresholds
from dubl.evaluation.benchmark.findings import Findings, MethodFindings
from dubl.evaluation.metrics.detection import best_operating_point
from dubl.evaluation.report import pictures
from dubl.evaluation.report.cases import FalsePair, Miss
from dubl.evaluation.report.cells import cell, interval, number, table, value
from dubl.evaluation.report.facts import machine, minutes, time_shares

FALSE_PAIRS = "false_pairs.png"
MISSES = "misses.png"
LISTED_MISSES = 60
AIM = 0.85  # recall of an edit at the shipped threshold

# What each headline figure is, in the order of the table.
_HEADLINE = (
    ("micro_ap", "micro-AP", "one ranking of all pairs (VSC descriptor track)"),
    ("recall_at_precision_1", "recall at precision 1.0", "true pairs above every false pair"),
    ("recall_at_precision_95", "recall at precision 0.95", "one false pair among twenty"),
    ("mean_ap", "mAP (FIVR)", "each query's own ranking of the references"),
    ("strict_f1_duplicate", "strict F1, duplicate", "top reference right, shipped threshold"),
    ("strict_f1_review", "strict F1, review", "the same from the review threshold on"),
    ("best_f1", "strict F1, best threshold", "in hindsight, to compare with others"),
    ("recall_duplicate", "recall, duplicate", "copies with a true reference"),
    ("recall_review", "recall, review", "the same from the review threshold on"),
    ("false_positives_all_duplicate", "false positives", "originals called duplicate (Wilson)"),
    ("false_positives_strangers_duplicate", "– of strangers", "unrelated videos"),
    ("false_positives_hard_negatives_duplicate", "– of hard negatives", "same camera, intro, …"),
    ("false_positives_all_review", "false positives, review", "originals sent to review"),
    ("segment_ap", "segment AP", "VSC matching track, all segments"),
    ("vcsl_precision", "segment precision", "VCSL, matches from the review threshold on"),
    ("vcsl_recall", "segment recall", "VCSL"),
    ("vcsl_f1", "segment F", "VCSL"),
    ("end_error_median_s", "end error, median", "seconds, four ends of each found segment"),
    ("end_error_90_percent_s", "end error, 90 %", "nine of ten ends are nearer"),
)
_PEER_FIGURES = (
    ("micro_ap", "micro-AP"),
    ("recall_at_precision_1", "recall at precision 1.0"),
    ("recall_at_precision_95", "at 0.95"),
    ("mean_ap", "mAP"),
    ("best_f1", "best strict F1"),
)


def report_page(
    findings: Findings, false_pairs: Sequence[FalsePair], missed: Sequence[Miss]
) -> str:
    """The whole page."""
    parts = (
        _opening(findings),
        _headline(findings),
        _peers(findings),
        _passport(findings),
        _originals(findings),
        _false_pairs(findings, false_pairs),
        _misses(missed),
        _making(findings),
        _failures(findings),
    )
    return "\n".join(line for part in parts for line in part) + "\n"


def _opening(findings: Findings) -> Iterator[str]:
    run, figures = findings.run, findings.figures
    copies = len(findings.copies)
    edits = {query.attack for query in findings.copies}
    strict, _ = thresholds(run.settings.policy)
    found = sum(query.found_at(strict.probability) for query in findings.copies)
    flagged = sum(row.duplicate.value * row.count for row in findings.originals)
    yield f"# Copies found in {findings.suite.name}"
    yield ""
    yield (
        f"**{found} of {copies}** copies made by {len(edits)} edits were called duplicates of the "
        f"right video, and **{round(flagged)} of {len(findings.queries) - copies}** videos that "
        f"copy nothing were called a duplicate. micro-AP {value(figures['micro_ap'])}, strict F1 "
        f"{value(figures['strict_f1_duplicate'])}, segment F {value(figures['vcsl_f1'])}, "
        f"median end error {value(figures['end_error_median_s'])} s."
    )
    yield ""
    yield (
        f"{len(run.truth.references)} references ({minutes(run, 'references'):.0f} min), "
        f"{len(findings.queries)} queries ({minutes(run, 'queries'):.0f} min); model "
        f"`{run.model_id}`; duplicate from {strict.probability:g}, review from "
        f"{run.settings.policy.review_probability:g}. Intervals are 95 %: bootstrap over queries, "
        "Wilson for shares of one group."
    )
    yield ""


def _headline(findings: Findings) -> Iterator[str]:
    yield "## Figures"
    yield ""
    rows = [
        (label, value(findings.figures[key]), interval(findings.figures[key]), note)
        for key, label, note in _HEADLINE
    ]
    yield from table(("figure", "value", "95 %", ""), rows)
    best = best_operating_point([query.answer for query in findings.queries])
    yield (
        f"In hindsight strict F1 would be highest, {best.f1:.3f}, with a threshold of "
        f"{best.threshold:.3f} (precision {best.precision:.3f}, recall {best.recall:.3f})."
    )
    yield ""
    yield f"![probabilities]({pictures.PROBABILITIES})"
    yield ""


def _peers(findings: Findings) -> Iterator[str]:
    yield "## Beside others, on the same files"
    yield ""
    methods = (findings.ranking, *findings.peers)
    names = [label for _, label in _PEER_FIGURES]
    rows = [
        (one.name, *(cell(one.figures[key]) for key, _ in _PEER_FIGURES), one.summary)
        for one in methods
    ]
    rows += [(name, *("–" for _ in names), why) for name, why in findings.skipped_peers.items()]
    yield from table(("method", *names, ""), rows)
    yield f"![precision and recall of pairs]({pictures.CURVES})"
    yield ""
    if not findings.peers:
        yield "Other methods were not asked for (`--peers`)."
        yield ""
        return
    yield (
        "Copies found by edit: at zero false pairs / at precision 0.95, each method with the "
        "threshold that gives it that on the whole set."
    )
    yield ""
    yield from table(
        ("edit", "copies", *(one.name for one in methods)),
        (
            (row.edit, str(row.count), *(_recalls(one, row.edit) for one in methods))
            for row in sorted(findings.edits, key=lambda row: row.edit)
        ),
    )


def _passport(findings: Findings) -> Iterator[str]:
    yield "## Robustness passport"
    yield ""
    enough = sum(row.duplicate.value >= AIM for row in findings.edits)
    yield (
        f"{enough} of {len(findings.edits)} edits reach {AIM:g} at the duplicate threshold. The "
        "weakest edit first; shares of its copies, the interval is that of the first column."
    )
    yield ""
    yield from table(
        ("edit", "copies", "duplicate", "95 %", "review", "top is right", "median end error, s"),
        (
            (
                row.edit,
                str(row.count),
                f"{row.duplicate.value:.2f}",
                interval(row.duplicate),
                f"{row.review.value:.2f}",
                f"{row.top.value:.2f}",
                number(row.end_error_s),
            )
            for row in findings.edits
        ),
    )
    if findings.edits:
        yield f"![passport]({pictures.PASSPORT})"
        yield ""


def _originals(findings: Findings) -> Iterator[str]:
    yield "## What copies nothing"
    yield ""
    yield from table(
        ("kind", "queries", "duplicate", "95 %", "review", "highest probability"),
        (
            (
                row.kind,
                str(row.count),
                f"{row.duplicate.value:.3f}",
                interval(row.duplicate),
                f"{row.review.value:.3f}",
                f"{row.highest:.3f}",
            )
            for row in findings.originals
        ),
    )


def _false_pairs(findings: Findings, pairs: Sequence[FalsePair]) -> Iterator[str]:
    yield "## The worst false pairs"
    yield ""
    policy = findings.run.settings.policy
    wrong = [
        match.probability
        for query in findings.queries
        for match in query.matches
        if match.reference_id not in query.expected
    ]
    above = sum(one >= policy.duplicate_probability for one in wrong)
    doubtful = sum(one >= policy.review_probability for one in wrong)
    yield (
        f"Of {len(wrong)} wrong pairs that were compared in full, {above} reach the duplicate "
        f"threshold and {doubtful} the review threshold."
    )
    yield ""
    rows = [
        (f"{one.match.probability:.3f}", one.query.name, one.match.reference_id, one.query.attack)
        for one in pairs
    ]
    yield from table(("probability", "query", "taken for", "kind or edit"), rows)
    if pairs:
        yield "The query's frames above those of the reference it was taken for:"
        yield ""
        yield f"![false pairs]({FALSE_PAIRS})"
        yield ""


def _misses(missed: Sequence[Miss]) -> Iterator[str]:
    yield "## The worst misses"
    yield ""
    yield f"{len(missed)} copies stay under the duplicate threshold; 0 was not even retrieved."
    yield ""
    rows = [
        (
            f"{one.probability:.3f}",
            one.query.name,
            one.query.attack,
            "" if one.query.strength is None else f"{one.query.strength:g}",
            one.found_instead,
        )
        for one in missed[:LISTED_MISSES]
    ]
    yield from table(("probability", "query", "edit", "strength", "top instead"), rows)
    if missed:
        yield "The query's frames above the reference's at the same moments:"
        yield ""
        yield f"![misses]({MISSES})"
        yield ""


def _making(findings: Findings) -> Iterator[str]:
    run = findings.run
    yield "## How it was measured"
    yield ""
    rows = [
        ("weights", f"`{run.model_id}`, feature space `{run.space_id}`"),
        ("machine", machine()),
        ("policy", f"version {run.settings.policy.version}"),
        ("time of queries", _shares(time_shares(run.query_timings))),
        ("time of references", _shares(time_shares(run.reference_timings))),
    ]
    yield from table(("", ""), rows)
    yield (
        "The service's own steps answered, in one process and with one library of all references. "
        "A pair's confidence is its probability, equal ones in order of similarity. All pairs are "
        "in `pairs.parquet`, all queries in `queries.parquet`, figures and settings in "
        "`summary.json`."
    )
    yield ""


def _failures(findings: Findings) -> Iterator[str]:
    if not findings.run.failures:
        return
    yield "## Videos that failed"
    yield ""
    yield "A query that failed counts as one that found nothing."
    yield ""
    rows = [(one.video, one.code, one.detail) for one in findings.run.failures]
    yield from table(("video", "code", "what happened"), rows)


def _recalls(method: MethodFindings, edit: str) -> str:
    return " / ".join(f"{recalls[edit].value:.2f}" for recalls in method.recalls.values())


def _shares(shares: dict[str, float]) -> str:
    return ", ".join(f"{step} {share:.0%}" for step, share in shares.items())
