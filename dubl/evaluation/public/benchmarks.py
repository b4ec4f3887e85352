"""All public benchmarks by name. Dubl has none of their videos; small folders of their layouts are
tested."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from dubl.errors import InvalidRequest
from dubl.evaluation.public.disc21 import read_disc21
from dubl.evaluation.public.fivr import Task, read_fivr
from dubl.evaluation.public.vcsl import read_vcsl
from dubl.evaluation.public.vsc2022 import read_vsc2022
from dubl.evaluation.suite import SuiteTruth

# (folder as published, folder for links) -> truth
Reader = Callable[[Path, Path], SuiteTruth]

BENCHMARKS: Mapping[str, Reader] = {
    "vsc2022": read_vsc2022,
    "vcsl": read_vcsl,
    **{f"fivr-200k-{task.name.lower()}": partial(read_fivr, task=task) for task in Task},
    "disc21": read_disc21,
}


def read_benchmark(name: str, folder: Path, suite: Path) -> SuiteTruth:
    """The truth of a benchmark; the folder `suite` gets its videos. Raises InvalidRequest."""
    if name not in BENCHMARKS:
        raise InvalidRequest(f"unknown benchmark '{name}'; known: {', '.join(BENCHMARKS)}")
    return BENCHMARKS[name](folder, suite)
