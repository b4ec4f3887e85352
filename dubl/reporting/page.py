"""The report as one self-contained page."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from dubl.evaluation.metrics.detection import wilson
from dubl.rendering import render
from dubl.reporting.figures import Figures


def report_page(
    tables: Mapping[str, pa.Table], figures: Figures, *, made_at: str, about: str, hints_of: int
) -> str:
    """`about`: source of the report. `hints_of`: number of duplicates examined for edits."""
    rows = {name: table.to_pylist() for name, table in tables.items()}
    by_day = [day["duplicate"] + day["review"] + day["unique"] for day in rows["days"]]
    bands = [(band, wilson(band["copies"], band["decided"])) for band in rows["bands"]]
    dots = [
        {
            **band,
            "expected": band["mean_probability"],
            "observed": share.value,
            "low": share.low,
            "high": share.high,
        }
        for band, share in bands
    ]
    values = {
        "tables": rows,
        "figures": figures,
        "made_at": made_at,
        "about": about,
        "hints_of": hints_of,
        "most_a_day": max([*by_day, 1]),
        "dots": dots,
    }
    return render("report.html", values)
