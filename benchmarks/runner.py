"""How a benchmark is started: one numeric thread, figures written at its end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from benchmarks.results import Figure, write_figures


def run(name: str, measure: Callable[[], Sequence[Figure]]) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("benchmarks").setLevel(logging.INFO)
    write_figures(name, measure())
