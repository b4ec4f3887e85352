"""Claims about measured memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]

# In a process of its own: one that has run a thousand tests lets go of more than is held here.
HOLDER = """
import numpy as np
from benchmarks.usage import most_memory
with most_memory(every_s=0.01) as seen:
    while not seen:
        pass
    before = max(seen)
    held = np.ones(20_000_000, dtype=np.uint8)
    count = len(seen)
    while len(seen) < count + 2:
        pass
print(max(seen) - before, held.nbytes)
"""


def test_memory_that_is_held_for_a_while_is_seen() -> None:
    command = [sys.executable, "-c", HOLDER]
    told = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    grown, held = (int(word) for word in told.split())
    assert grown > held - 2_000_000
