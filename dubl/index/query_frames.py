"""Which of a query's frames are worth a search."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubl.index.spans import SAME_COSINE
from dubl.types import Float16Array, Float32Array

BLOCK_ROWS = 256


def distinct_rows(descriptors: Float16Array, *, limit: int) -> NDArray[np.intp]:
    """Indexes of at most `limit` rows of [N,D'], in order.

    Zero rows (nothing to be seen in them) and rows that nearly equal a kept one are left out; of
    more than `limit`, an even choice over the video.
    """
    rows = np.flatnonzero(descriptors.any(axis=1))
    vectors = descriptors[rows].astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    kept = rows[_unlike_earlier(vectors)]
    if kept.size <= limit:
        return kept
    return kept[np.linspace(0, kept.size - 1, limit).round().astype(np.intp)]


def _unlike_earlier(vectors: Float32Array) -> NDArray[np.bool_]:
    """Greedy: a row is kept unless an earlier kept one is near. Products are taken by blocks."""
    kept = np.zeros(vectors.shape[0], dtype=bool)
    for start in range(0, vectors.shape[0], BLOCK_ROWS):
        block = vectors[start : start + BLOCK_ROWS]
        fresh = (block @ vectors[:start][kept[:start]].T < SAME_COSINE).all(axis=1)
        near = block @ block.T >= SAME_COSINE
        for row in np.flatnonzero(fresh):
            kept[start + row] = not near[row, :row][kept[start : start + row]].any()
    return kept
