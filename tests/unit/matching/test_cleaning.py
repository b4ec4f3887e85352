"""A cleaned matrix says where a copy runs; the one that was seen, how alike it is."""

from __future__ import annotations

import numpy as np
import pytest

from dubl.matching.alignment import AlignmentOptions
from dubl.matching.cleaning import aligned
from dubl.matching.matrix import PairMatrix
from dubl.types import Float16Array, Float32Array, Segment

SIZE = 40


class Spotlight:
    """Leaves the diagonal at an offset and darkens the rest."""

    def __init__(self, offset: int) -> None:
        self._offset = offset

    def clean(self, similarity: Float16Array) -> Float32Array:
        kept = np.eye(*similarity.shape, k=self._offset) > 0
        return np.where(kept, similarity, 0.1 * similarity).astype(np.float32)


def two_diagonals() -> PairMatrix:
    """One at offset 0, and a fainter one 12 s later in the reference."""
    near = np.eye(SIZE, 2 * SIZE) * 0.9
    far = np.eye(SIZE, 2 * SIZE, k=12) * 0.6
    similarity = np.maximum(0.05, np.maximum(near, far)).astype(np.float16)
    return PairMatrix(
        similarity=similarity,
        query_times_s=np.arange(SIZE, dtype=np.float64),
        reference_times_s=np.arange(2 * SIZE, dtype=np.float64),
    )


def best(cleaner: Spotlight | None) -> Segment:
    found = aligned(
        two_diagonals(),
        cleaner,
        query_duration_s=float(SIZE),
        reference_duration_s=2.0 * SIZE,
        options=AlignmentOptions(floor=0.3, level=0.35),
    )
    return found[0]


def test_without_a_cleaner_the_more_alike_diagonal_wins() -> None:
    assert best(None).reference_start_s == pytest.approx(0.0, abs=0.6)
    assert best(None).similarity == pytest.approx(0.9, abs=0.01)


def test_the_cleaner_decides_where_and_the_frames_how_alike() -> None:
    segment = best(Spotlight(offset=12))
    assert segment.reference_start_s == pytest.approx(12.0, abs=0.6)
    assert segment.similarity == pytest.approx(0.6, abs=0.01)
