"""How a benchmark is started: figures are written as they are found, so that a long one that is
stopped leaves those that it has."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from benchmarks.results import Figure, write_figures

logger = logging.getLogger("benchmarks")


def run(name: str, measure: Callable[[], Iterable[Figure]]) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logger.setLevel(logging.INFO)
    figures: list[Figure] = []
    for figure in measure():
        figures.append(figure)
        write_figures(name, figures)
        logger.info("%s: %s %s (%s)", figure.name, figure.value, figure.unit, figure.aim)
