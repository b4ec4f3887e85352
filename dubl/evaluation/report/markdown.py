"""report.md: the page that a person reads."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dubl.evaluation.benchmark.findings import Findings
from dubl.evaluation.metrics.detection import Estimate, best_operating_point
from dubl.evaluation.report import pictures
from dubl.evaluation.report.cases import FalsePair, Miss
from dubl.evaluation.report.facts import machine, minutes, time_shares
from dubl.rendering import render

FALSE_PAIRS = "false_pairs.png"
MISSES = "misses.png"
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
_COMPARED = ("micro_ap", "recall_at_precision_1", "recall_at_precision_95", "mean_ap", "best_f1")


def report_page(
    findings: Findings, false_pairs: Sequence[FalsePair], missed: Sequence[Miss]
) -> str:
    """The whole page, in Markdown."""
    run = findings.run
    threshold = run.settings.policy.duplicate_probability
    values = {
        "findings": findings,
        "run": run,
        "false_pairs": false_pairs,
        "missed": missed,
        "found": sum(query.found_at(threshold) for query in findings.copies),
        "flagged": round(sum(row.duplicate.value * row.count for row in findings.originals)),
        "best": best_operating_point([query.answer for query in findings.queries]),
        "methods": (findings.ranking, *findings.peers),
        "wrong": [
            match.probability
            for query in findings.queries
            for match in query.matches
            if match.reference_id not in query.expected
        ],
        "enough": sum(row.duplicate.value >= AIM for row in findings.edits),
        "aim": AIM,
        "headline": _HEADLINE,
        "compared": _COMPARED,
        "pictures": pictures,
        "machine": machine(),
        "minutes": minutes,
        "time_shares": time_shares,
        "number": _number,
        "interval": _interval,
    }
    return render("evaluation.md", values)


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _interval(estimate: Estimate) -> str:
    return f"{_number(estimate.low)}–{_number(estimate.high)}"
