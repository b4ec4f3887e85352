"""The plots of a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dubl.evaluation.benchmark.answers import ScoredQuery
from dubl.evaluation.benchmark.figures import pair_curve, thresholds
from dubl.evaluation.benchmark.findings import Findings
from dubl.plots import Bar, Curve, Point, bar_chart, histogram, line_plot

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
