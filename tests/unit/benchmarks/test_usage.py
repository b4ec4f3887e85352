"""Claims about measured memory and CPU time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]

# In a process of its own: one that has run a thousand tests lets go of more than is held here.
HOLDER = """
import time
import numpy as np
from benchmarks.usage import watching
with watching(every_s=0.01, memory_every=1) as seen:
    while not seen.most_bytes:
        time.sleep(0.01)
    before = seen.most_bytes
    held = np.ones(20_000_000, dtype=np.uint8)
    for _ in range(1000):
        if seen.most_bytes > before + held.nbytes - 2_000_000:
            break
        time.sleep(0.01)
print(seen.most_bytes - before, held.nbytes)
"""

# The child says itself what it has spent, since it is gone when the block ends.
SPENDER = """
import subprocess, sys
from benchmarks.usage import watching
work = "import time\\nwhile time.process_time() < 1: pass\\nprint(time.process_time())"
with watching(every_s=0.05) as seen:
    told = subprocess.run([sys.executable, "-c", work], capture_output=True, text=True, check=True)
print(seen.cpu_s, told.stdout)
"""


def test_memory_that_is_held_for_a_while_is_seen() -> None:
    grown, held = _numbers(HOLDER)
    assert grown > held - 2_000_000


def test_cpu_time_of_a_process_that_has_ended_counts() -> None:
    seen_s, spent_s = _numbers(SPENDER)
    assert spent_s >= 1.0
    assert seen_s > spent_s - 0.5


def _numbers(program: str) -> tuple[float, float]:
    command = [sys.executable, "-c", program]
    told = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    first, second = told.split()
    return float(first), float(second)
