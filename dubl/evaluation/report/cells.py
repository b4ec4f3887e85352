"""Tables and numbers in Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from dubl.evaluation.metrics.detection import Estimate


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a table, with an empty one after it."""
    yield _row(heading)
    yield _row(["---"] * len(heading))
    for row in rows:
        yield _row(row)
    yield ""


def cell(estimate: Estimate) -> str:
    """Value and interval."""
    return f"{value(estimate)} ({interval(estimate)})"


def value(estimate: Estimate) -> str:
    return number(estimate.value)


def interval(estimate: Estimate) -> str:
    return f"{number(estimate.low)}–{number(estimate.high)}"


def number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _row(cells: Sequence[str]) -> str:
    plain = (" ".join(text.split()).replace("|", "\\|") for text in cells)
    return f"| {' | '.join(plain)} |"
