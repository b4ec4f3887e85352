"""The report as one page that needs no other file and no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import pyarrow as pa

from dubl.evaluation.metrics.detection import wilson
from dubl.reporting.charts import Dot, Series, bars, calibration, stacked_bars
from dubl.reporting.figures import Figures

MAX_BARS = 20
HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Dubl: report</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif;
  --line: #d9dee6; --muted: #566172; --bad: #c0392b; --warn: #c98a12;
  --good: #2c8a57; --s: #2f6fde; }
@media (prefers-color-scheme: dark) { :root { --line: #3a4452; --muted: #9eabbc;
  --bad: #ee7a6e; --warn: #e3b04b; --good: #64c08d; --s: #6d9df2; } }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin: 2.2rem 0 .4rem; font-size: 1.15rem; }
p { color: var(--muted); margin: .2rem 0 .8rem; }
.tiles { display: flex; flex-wrap: wrap; gap: .8rem; }
.tiles div { border: 1px solid var(--line); border-radius: 10px; padding: .6rem 1rem;
  min-width: 8rem; }
.tiles strong { display: block; font-size: 1.5rem; }
svg { width: 100%; height: auto; font: 12px system-ui, sans-serif; }
text { fill: currentColor; }
.grid, .axis { stroke: var(--line); fill: none; }
.ideal { stroke: var(--muted); stroke-dasharray: 4 4; fill: none; }
.range { stroke: var(--s); stroke-width: 2; }
.dot, .one { fill: var(--s); }
.duplicate { fill: var(--bad); } .review { fill: var(--warn); } .unique { fill: var(--good); }
.key i { display: inline-block; width: .8em; height: .8em; border-radius: 3px;
  margin: 0 .35em 0 1em; }
i.duplicate { background: var(--bad); } i.review { background: var(--warn); }
i.unique { background: var(--good); }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--line); }
td.number { font-variant-numeric: tabular-nums; }
</style></head><body>
"""


def report_page(
    tables: Mapping[str, pa.Table], figures: Figures, *, made_at: str, about: str, hints_of: int
) -> str:
    """`about`: where it comes from; `hints_of`: of how many duplicates the picture's edits were
    looked for."""
    parts = [
        HEAD,
        f"<h1>What was found</h1><p>{escape(about)}, {escape(made_at)}</p>",
        _tiles(figures),
        _days(tables["days"]),
        _section(
            "Duplicates by owner",
            "Of the reference that is matched best.",
            _bars(tables["owners"], "owner", "duplicates", "Duplicates by owner"),
            tables["owners"],
        ),
        _section("Duplicates by edit", _hints_note(hints_of), _edit_bars(tables), None),
        _decisions(tables, figures),
        _section(
            "Videos that failed",
            "Jobs that ended with an error, by its code.",
            _bars(tables["failures"], "code", "jobs", "Failed jobs by code"),
            None,
        ),
        _section("Models and policies", "", "", tables["models"]),
        "</body></html>\n",
    ]
    return "".join(parts)


def _tiles(figures: Figures) -> str:
    tiles = {
        "checks": figures.checks,
        "duplicates": figures.duplicates,
        "sent to a person": figures.reviews,
        "failed jobs": figures.failures,
    }
    boxes = [f"<div><strong>{value}</strong>{name}</div>" for name, value in tiles.items()]
    return f'<div class="tiles">{"".join(boxes)}</div>'


def _days(days: pa.Table) -> str:
    names = ("duplicate", "review", "unique")
    series = [Series(style=name, name=name, values=days[name].to_pylist()) for name in names]
    chart = stacked_bars(days["day"].to_pylist(), series, title="Checks by day and outcome")
    keys = "".join(f'<i class="{name}"></i>{name}' for name in names)
    return f'<h2>Checks by day</h2><p class="key">{keys}</p>{chart}'


def _edit_bars(tables: Mapping[str, pa.Table]) -> str:
    return _bars(tables["edits"], "edit", "duplicates", "Duplicates by edit")


def _hints_note(hints_of: int) -> str:
    seen = "Speed and direction are known of all duplicates, from their segments. "
    if hints_of:
        return f"{seen}Edits of the picture were looked for in what is kept of {hints_of} of them."
    return f"{seen}Edits of the picture were not looked for: they are seen in kept evidence alone."


def _decisions(tables: Mapping[str, pa.Table], figures: Figures) -> str:
    lines = (
        ("No copy, though called a duplicate", figures.false_duplicates.text),
        ("No copy, of what was sent to a person", figures.false_reviews.text),
        ("Two reviewers of one match agree", figures.agreement.text),
    )
    rows = "".join(f"<tr><th>{name}</th><td>{text}</td></tr>" for name, text in lines)
    dots = [_dot(row) for row in tables["bands"].to_pylist()]
    chart = (
        "<p>Share of copies among decided matches over the probability that was told; lines are "
        f"95 % intervals.</p>{calibration(dots, title='Decided copies over probability')}"
        if dots
        else ""
    )
    note = (
        "<p>From matches that people decided on, with 95 % Wilson intervals. They stand for all "
        "only if what people looked at was not picked.</p>"
    )
    reviewers = _table(tables["reviewers"])
    return f"<h2>Decisions of people</h2>{note}<table>{rows}</table>{chart}{reviewers}"


def _dot(row: Mapping[str, float]) -> Dot:
    share = wilson(int(row["copies"]), int(row["decided"]))
    return Dot(
        expected=row["mean_probability"],
        observed=share.value,
        low=share.low,
        high=share.high,
        name=f"{row['copies']} of {row['decided']} are copies",
    )


def _section(title: str, note: str, chart: str, table: pa.Table | None) -> str:
    shown = _table(table) if table is not None else ""
    return f"<h2>{title}</h2><p>{escape(note)}</p>{chart}{shown}"


def _bars(table: pa.Table, name: str, value: str, title: str) -> str:
    rows = table.to_pylist()[:MAX_BARS]
    pairs = [(str(row[name]), float(row[value])) for row in rows]
    return bars(pairs, style="one", title=title) if pairs else "<p>None.</p>"


def _table(table: pa.Table) -> str:
    if not table.num_rows:
        return ""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.column_names)
    body = "".join(_row(list(row.values())) for row in table.to_pylist()[:MAX_BARS])
    return f"<table><tr>{head}</tr>{body}</table>"


def _row(values: Sequence[object]) -> str:
    cells = "".join(
        f"<td{' class=number' if isinstance(value, int | float) else ''}>{escape(str(value))}</td>"
        for value in values
    )
    return f"<tr>{cells}</tr>"
