"""What a benchmark finds: figures with their aim, as JSON, and all of them as a Markdown table."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
TABLE = RESULTS / "README.md"

logger = logging.getLogger("benchmarks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured figure. `aim` is in words ("≤ 1.5"), empty where there is none; `met` is null
    without an aim, or where nothing was measured. `setup` says on what and how."""

    name: str
    value: float | None
    unit: str
    aim: str = ""
    met: bool | None = None
    setup: str = ""


def at_most(name: str, value: float, limit: float, *, unit: str, setup: str) -> Figure:
    """A figure that should not lie above `limit`."""
    found = plain(name, value, unit=unit, setup=setup)
    return replace(found, aim=f"≤ {limit:g}", met=value <= limit)


def at_least(name: str, value: float, limit: float, *, unit: str, setup: str) -> Figure:
    """A figure that should not lie below `limit`."""
    found = plain(name, value, unit=unit, setup=setup)
    return replace(found, aim=f"≥ {limit:g}", met=value >= limit)


def plain(name: str, value: float, *, unit: str, setup: str) -> Figure:
    """A figure without an aim."""
    return Figure(name=name, value=round(value, 4), unit=unit, setup=setup)


def skipped(name: str, *, unit: str, reason: str) -> Figure:
    """A figure that this machine cannot give."""
    return Figure(name=name, value=None, unit=unit, setup=f"not measured: {reason}")


def run(name: str, measure: Callable[[], Iterable[Figure]]) -> None:
    """Writes figures as they are found, so that a long benchmark that is stopped leaves those that
    it has."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("benchmarks").setLevel(logging.INFO)
    figures: list[Figure] = []
    for figure in measure():
        figures.append(figure)
        write_figures(name, figures)
        logger.info("%s: %s %s (%s)", figure.name, figure.value, figure.unit, figure.aim)


def write_figures(benchmark: str, figures: Sequence[Figure]) -> None:
    """Writes results/BENCHMARK.json and the table of all that is there."""
    RESULTS.mkdir(exist_ok=True)
    content = json.dumps([asdict(figure) for figure in figures], indent=1, ensure_ascii=False)
    (RESULTS / f"{benchmark}.json").write_text(content + "\n", encoding="utf-8")
    TABLE.write_text(table(), encoding="utf-8")


def table() -> str:
    """All results as Markdown."""
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`; `python -m benchmarks.NAME` runs one. Ratios are of one run.",
    ]
    for path in sorted(RESULTS.glob("*.json")):
        figures = [Figure(**row) for row in json.loads(path.read_text(encoding="utf-8"))]
        lines += ["", f"## {path.stem}", "", "| figure | value | aim | met | setup |"]
        lines += ["|---|---|---|---|---|", *(_row(figure) for figure in figures)]
    return "\n".join(lines) + "\n"


def _row(figure: Figure) -> str:
    value = "–" if figure.value is None else f"{figure.value:g} {figure.unit}"
    met = {True: "yes", False: "no", None: ""}[figure.met]
    return f"| {figure.name} | {value} | {figure.aim} | {met} | {figure.setup} |"
