"""Writes a report folder: page, pictures, tables and summary."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dubl.evaluation.benchmark.answers import AnsweredQuery, ScoredQuery, end_errors
from dubl.evaluation.benchmark.findings import Figures, Findings, pair_curve, thresholds
from dubl.evaluation.benchmark.run import SuiteRun
from dubl.evaluation.metrics.detection import Estimate, best_operating_point
from dubl.evaluation.public import write_matches
from dubl.evaluation.report.cases import (
    FalsePair,
    Miss,
    draw_strips,
    false_strips,
    miss_strips,
    misses,
    varied,
    worst_false_pairs,
)
from dubl.plots import Bar, Curve, Point, bar_chart, histogram, line_plot
from dubl.rendering import render
from dubl.types import Match, Timings

STEPS = ("decode", "embed", "retrieve", "rerank", "verify")
_CPU_FACTS = Path("/proc/cpuinfo")


def machine() -> str:
    """Processor, cores, system and Python, in words."""
    cores = os.process_cpu_count() if hasattr(os, "process_cpu_count") else os.cpu_count()
    return (
        f"{_processor()}, {cores} cores; {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}"
    )


def time_shares(timings: Timings) -> dict[str, float]:
    """Share of each step in the time of all steps; empty when nothing was timed."""
    total = sum(timings.get(step, 0.0) for step in STEPS)
    return {step: timings[step] / total for step in STEPS if step in timings and total > 0}


def minutes(run: SuiteRun, part: str) -> float:
    """Minutes of video in a folder of the suite, as far as they decode."""
    prefix = f"{part}/"
    seconds = [value for name, value in run.durations_s.items() if name.startswith(prefix)]
    return sum(seconds) / 60


def _processor() -> str:
    if _CPU_FACTS.is_file():
        for line in _CPU_FACTS.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or "unknown processor"


CURVES = "precision_recall.png"
PROBABILITIES = "probabilities.png"
EDITS = "edits.png"


def write_plots(folder: Path, findings: Findings) -> None:
    """Curves of pairs, the histogram of probabilities and recall by edit as bars."""
    curves = [
        Curve(label=one.name, points=staircase(one.queries))
        for one in (findings.ranking, *findings.peers)
    ]
    plot = line_plot("Pairs of query and reference", curves, x_label="recall", y_label="precision")
    plot.savefig(folder / CURVES)
    marks = [(one.name, one.probability) for one in thresholds(findings.run.settings.policy)]
    histogram(
        "Probabilities that Dubl gave",
        _probabilities(findings),
        x_label="probability",
        marks=marks,
    ).savefig(folder / PROBABILITIES)
    bars = [
        Bar(
            label=f"{row.edit} ({row.count})",
            value=row.duplicate.value,
            low=row.duplicate.low,
            high=row.duplicate.high,
            second=row.review.value,
        )
        for row in findings.edits
    ]
    if bars:
        bar_chart(
            "Found, by edit: as duplicate (dark), at least for review (pale)",
            bars,
            x_label="recall",
        ).savefig(folder / EDITS)


def staircase(queries: Sequence[ScoredQuery]) -> list[Point]:
    """The curve of pairs as steps: the area under it is the average precision."""
    points: list[Point] = []
    before = 0.0
    for point in pair_curve(queries):
        points += [(before, point.precision), (point.recall, point.precision)]
        before = point.recall
    return points


def _probabilities(findings: Findings) -> list[tuple[str, list[float]]]:
    copies: list[float] = []
    others: list[float] = []
    for query in findings.queries:
        for match in query.matches:
            (copies if match.reference_id in query.expected else others).append(match.probability)
    return [("copies", copies), ("other pairs", others)]


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
        "pictures": {"CURVES": CURVES, "PROBABILITIES": PROBABILITIES, "EDITS": EDITS},
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


Tree = Mapping[str, object]


def write_summary(path: Path, findings: Findings) -> None:
    """Figures as {"value", "low", "high"}, the tables of the report, settings and failures."""
    path.write_text(json.dumps(summary(findings), indent=1) + "\n", encoding="utf-8")


def summary(findings: Findings) -> Tree:
    run = findings.run
    return {
        "suite": findings.suite.name,
        "model_id": run.model_id,
        "space_id": run.space_id,
        "references": len(run.truth.references),
        "queries": len(findings.queries),
        "copies": len(findings.copies),
        "minutes": {part: round(minutes(run, part), 2) for part in ("references", "queries")},
        "figures": figures_tree(findings.figures),
        "edits": {
            row.edit: {
                "copies": row.count,
                "duplicate": _tree(row.duplicate),
                "review": _tree(row.review),
                "top": _tree(row.top),
                "end_error_s": _plain(row.end_error_s),
            }
            for row in findings.edits
        },
        "originals": {
            row.kind: {
                "queries": row.count,
                "duplicate": _tree(row.duplicate),
                "review": _tree(row.review),
                "highest": _plain(row.highest),
            }
            for row in findings.originals
        },
        "methods": {
            one.name: {
                "method": one.summary,
                "figures": figures_tree(one.figures),
                "recall_at_precision": {
                    str(precision): {edit: _tree(share) for edit, share in recalls.items()}
                    for precision, recalls in one.recalls.items()
                },
            }
            for one in (findings.ranking, *findings.peers)
        },
        "skipped_peers": dict(findings.skipped_peers),
        "time_shares": {
            "queries": time_shares(run.query_timings),
            "references": time_shares(run.reference_timings),
        },
        "machine": machine(),
        "failures": [failure.model_dump() for failure in run.failures],
        "settings": run.settings.model_dump(mode="json", exclude={"data_dir", "ledger", "serve"}),
    }


def figures_tree(figures: Figures) -> dict[str, Tree]:
    """Figures as JSON has them; what is no number is null."""
    return {name: _tree(estimate) for name, estimate in figures.items()}


def _tree(estimate: Estimate) -> Tree:
    return {name: _plain(value) for name, value in estimate._asdict().items()}


def _plain(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None


REPORT = "report.md"
SUMMARY = "summary.json"
PAIRS = "pairs.parquet"
QUERY_TABLE = "queries.parquet"
MATCHES = "matches.csv"


def write_report(folder: Path, findings: Findings) -> None:
    """Writes page, pictures, tables and summary; what is there of the same name is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    run = findings.run
    wrong = worst_false_pairs(findings.queries)
    missed = misses(findings.queries, run.settings.policy.duplicate_probability)
    page = report_page(findings, wrong, missed)
    (folder / REPORT).write_text(page, encoding="utf-8")
    write_summary(folder / SUMMARY, findings)
    write_plots(folder, findings)
    if wrong:
        draw_strips(list(false_strips(findings.suite, wrong))).save(folder / FALSE_PAIRS)
    if missed:
        draw_strips(list(miss_strips(findings.suite, varied(missed)))).save(folder / MISSES)
    peers = {one.name: one.queries for one in findings.peers}
    write_pairs(folder / PAIRS, findings.queries, run.truth.references, peers)
    write_queries(folder / QUERY_TABLE, findings.queries, run)
    found = (segment for query in findings.queries for segment in query.found_segments())
    write_matches(folder / MATCHES, found)


_SEGMENTS = pa.list_(
    pa.struct(
        [
            ("query_start_s", pa.float64()),
            ("query_end_s", pa.float64()),
            ("reference_start_s", pa.float64()),
            ("reference_end_s", pa.float64()),
            ("similarity", pa.float64()),
            ("reversed", pa.bool_()),
        ]
    )
)
_PAIR_COLUMNS = (
    ("query", pa.string()),
    ("attack", pa.string()),
    ("strength", pa.float64()),
    ("reference", pa.string()),
    ("is_copy", pa.bool_()),
    ("place", pa.int32()),
    ("probability", pa.float64()),
    ("similarity", pa.float64()),
    ("segments", _SEGMENTS),
)
_QUERIES = pa.schema(
    [
        ("query", pa.string()),
        ("attack", pa.string()),
        ("strength", pa.float64()),
        ("expected", pa.list_(pa.string())),
        ("outcome", pa.string()),
        ("probability", pa.float64()),
        ("top_reference", pa.string()),
        ("top_is_right", pa.bool_()),
        ("end_errors_s", pa.list_(pa.float64())),
        ("duration_s", pa.float64()),
        ("timings_ms", pa.map_(pa.string(), pa.float64())),
        ("failure", pa.string()),
    ]
)


def write_pairs(
    path: Path,
    queries: Sequence[AnsweredQuery],
    references: Sequence[str],
    peers: Mapping[str, Sequence[ScoredQuery]],
) -> None:
    """A row for each query and reference; `probability` is null where retrieval left it out.

    Each peer's scores are a column of its name.
    """
    columns = [*_PAIR_COLUMNS, *((name, pa.float64()) for name in peers)]
    rows = [
        row
        for place, query in enumerate(queries)
        for row in _pair_rows(
            query, references, {name: scored[place] for name, scored in peers.items()}
        )
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(columns)), path)


def write_queries(path: Path, queries: Sequence[AnsweredQuery], run: SuiteRun) -> None:
    """A row a query; `failure` is the code of its error, empty when it was answered."""
    failures = {failure.video: failure.code for failure in run.failures}
    level = run.settings.policy.review_probability
    rows = [
        {
            "query": query.name,
            "attack": query.attack,
            "strength": query.strength,
            "expected": sorted(query.expected),
            "outcome": str(query.outcome),
            "probability": query.answer.score,
            "top_reference": query.answer.found,
            "top_is_right": query.answer.is_right,
            "end_errors_s": end_errors(query, level),
            "duration_s": run.durations_s.get(f"queries/{query.name}"),
            "timings_ms": list(_timings(run, query.name).items()),
            "failure": failures.get(f"queries/{query.name}", ""),
        }
        for query in queries
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=_QUERIES), path)


def _pair_rows(
    query: AnsweredQuery, references: Sequence[str], peers: Mapping[str, ScoredQuery]
) -> Iterator[dict[str, object]]:
    matches = {match.reference_id: (place, match) for place, match in enumerate(query.matches, 1)}
    theirs = {
        name: dict(zip(scored.references, scored.scores.tolist(), strict=True))
        for name, scored in peers.items()
    }
    for reference in references:
        place, match = matches.get(reference, (None, None))
        yield {
            "query": query.name,
            "attack": query.attack,
            "strength": query.strength,
            "reference": reference,
            "is_copy": reference in query.expected,
            "place": place,
            "probability": match.probability if match else None,
            "similarity": match.similarity if match else None,
            "segments": _segments(match) if match else None,
            **{name: scores.get(reference) for name, scores in theirs.items()},
        }


def _segments(match: Match) -> list[dict[str, object]]:
    names = [field.name for field in _SEGMENTS.value_type]
    return [{name: getattr(segment, name) for name in names} for segment in match.segments]


def _timings(run: SuiteRun, name: str) -> Mapping[str, float]:
    verdict = run.verdicts.get(name)
    return verdict.timings_ms if verdict else {}
