"""What a benchmark finds: figures with their aim, as JSON, and all of them as a Markdown table."""

from __future__ import annotations

import json
import logging
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
TABLE = RESULTS / "README.md"

logger = logging.getLogger(__name__)


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
    return Figure(
        name=name,
        value=round(value, 4),
        unit=unit,
        aim=f"≤ {limit:g}",
        met=value <= limit,
        setup=setup,
    )


def at_least(name: str, value: float, limit: float, *, unit: str, setup: str) -> Figure:
    """A figure that should not lie below `limit`."""
    return Figure(
        name=name,
        value=round(value, 4),
        unit=unit,
        aim=f"≥ {limit:g}",
        met=value >= limit,
        setup=setup,
    )


def plain(name: str, value: float, *, unit: str, setup: str) -> Figure:
    """A figure without an aim."""
    return Figure(name=name, value=round(value, 4), unit=unit, setup=setup)


def skipped(name: str, *, unit: str, reason: str) -> Figure:
    """A figure that this machine cannot give."""
    return Figure(name=name, value=None, unit=unit, setup=f"not measured: {reason}")


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


def machine() -> str:
    """The processor and how many of its cores this process may use."""
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        logger.debug("no /proc/cpuinfo")
    return f"{model}, {len(os.sched_getaffinity(0))} cores"


def _row(figure: Figure) -> str:
    value = "–" if figure.value is None else f"{figure.value:g} {figure.unit}"
    met = {True: "yes", False: "no", None: ""}[figure.met]
    return f"| {figure.name} | {value} | {figure.aim} | {met} | {figure.setup} |"
