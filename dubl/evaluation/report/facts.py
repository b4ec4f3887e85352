"""What a report says of its own making: machine, weights, videos, where the time went."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from dubl.evaluation.benchmark.run import SuiteRun
from dubl.types import Timings

STEPS = ("decode", "embed", "retrieve", "rerank", "verify")
_CPU_FACTS = Path("/proc/cpuinfo")


def machine() -> str:
    """Processor, cores, system and Python, in words."""
    cores = os.process_cpu_count() if hasattr(os, "process_cpu_count") else os.cpu_count()
    return (
        f"{_processor()}, {cores} cores; {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}"
    )


def time_shares(timings: Timings) -> dict[str, float]:
    """Share of each step in the time of all steps; empty when nothing was timed."""
    total = sum(timings.get(step, 0.0) for step in STEPS)
    return {step: timings[step] / total for step in STEPS if step in timings and total > 0}


def minutes(run: SuiteRun, part: str) -> float:
    """Minutes of video in a folder of the suite, as far as they decode."""
    prefix = f"{part}/"
    seconds = [value for name, value in run.durations_s.items() if name.startswith(prefix)]
    return sum(seconds) / 60


def _processor() -> str:
    if _CPU_FACTS.is_file():
        for line in _CPU_FACTS.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or "unknown processor"
