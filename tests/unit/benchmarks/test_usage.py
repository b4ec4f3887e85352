"""Claims about measured memory."""

from __future__ import annotations

import numpy as np

from benchmarks.usage import most_memory


def test_memory_that_is_held_for_a_while_is_seen() -> None:
    with most_memory(every_s=0.01) as seen:
        while not seen:
            pass
        before = max(seen)
        held = np.ones(20_000_000, dtype=np.uint8)
        count = len(seen)
        while len(seen) < count + 2:
            pass
        assert held.nbytes < max(seen) - before + 2_000_000
