"""Writes a report folder."""

from __future__ import annotations

from pathlib import Path

from dubl.evaluation.benchmark.findings import Findings
from dubl.evaluation.report.cases import (
    false_strips,
    miss_strips,
    misses,
    varied,
    worst_false_pairs,
)
from dubl.evaluation.report.filmstrips import draw_strips
from dubl.evaluation.report.markdown import FALSE_PAIRS, MISSES, report_page
from dubl.evaluation.report.pictures import write_plots
from dubl.evaluation.report.summary import write_summary
from dubl.evaluation.report.tables import write_pairs, write_queries

REPORT = "report.md"
SUMMARY = "summary.json"
PAIRS = "pairs.parquet"
QUERY_TABLE = "queries.parquet"


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
