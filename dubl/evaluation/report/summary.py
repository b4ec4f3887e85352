"""summary.json: what another program reads."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from dubl.evaluation.benchmark.figures import Figures
from dubl.evaluation.benchmark.findings import Findings
from dubl.evaluation.metrics.detection import Estimate
from dubl.evaluation.report.facts import machine, minutes, time_shares

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
