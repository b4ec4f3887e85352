"""From frame hits to references: a vote of hits with the same timing.

For a copy at speed v, reference_time - v * query_time is equal for all frames. For each of a few
speeds, hits are sorted into windows of that offset. The score of a reference is that of its best
window. Scattered hits fall into many windows and stay weak.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubl.types import Float64Array

IntArray = NDArray[np.intp]

SPEEDS = (1.0, 0.5, 0.8, 1.25, 2.0, -1.0)  # reference seconds per query second; chosen
WINDOW_S = 4.0  # seconds of offset; chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Hits:
    """H frame hits, all arrays [H]: query times, references as codes 0…R-1, reference times (all in
    seconds), and cosines."""

    query_times_s: Float64Array
    references: IntArray
    reference_times_s: Float64Array
    similarities: Float64Array

    def __len__(self) -> int:
        return int(self.references.shape[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Votes:
    """Scores [R] in [0,1], and `supporting` [H]: whether a hit counts for its reference."""

    scores: Float64Array
    supporting: NDArray[np.bool_]


def vote(hits: Hits, *, reference_count: int, query_count: int, floor: float) -> Votes:
    """The vote. score = (sum over query times of the best weight in the best window) / query_count.

    weight = ((similarity - floor) / (1 - floor))²: a few close hits outweigh many weak ones.
    `query_count`: number of query times that were searched.
    """
    scores = np.zeros(reference_count)
    supporting = np.zeros(len(hits), dtype=bool)
    if len(hits) == 0:
        return Votes(scores=scores, supporting=supporting)
    weights = np.clip((hits.similarities - floor) / (1 - floor), 0, 1) ** 2
    _, times = np.unique(hits.query_times_s, return_inverse=True)
    for speed in SPEEDS:
        offsets = hits.reference_times_s - speed * hits.query_times_s
        # Windows overlap by half: an offset near the edge of one is in the middle of another.
        for shift in (0.0, 0.5):
            windows = np.floor(offsets / WINDOW_S + shift).astype(np.intp)
            best, counted = _best_by_reference(
                hits.references, windows, times, weights, reference_count=reference_count
            )
            better = best > scores
            scores = np.where(better, best, scores)
            supporting = np.where(better[hits.references], counted, supporting)
    return Votes(scores=scores / max(query_count, 1), supporting=supporting)


def _best_by_reference(
    references: IntArray,
    windows: IntArray,
    times: IntArray,
    weights: Float64Array,
    *,
    reference_count: int,
) -> tuple[Float64Array, NDArray[np.bool_]]:
    """The weight of each reference's heaviest window [R], and whether a hit counts in it [H]."""
    # One hit for each query time and window: the heaviest, which sorting puts first.
    order = np.lexsort((-weights, times, windows, references))
    kept = order[_starts(references[order], windows[order], times[order])]
    starts = np.flatnonzero(_starts(references[kept], windows[kept]))
    sums = np.add.reduceat(weights[kept], starts)
    owners, cells = references[kept][starts], windows[kept][starts]
    heaviest_last = np.lexsort((sums, owners))
    best = np.zeros(reference_count)
    best_cells = np.zeros(reference_count, dtype=np.intp)
    best[owners[heaviest_last]] = sums[heaviest_last]
    best_cells[owners[heaviest_last]] = cells[heaviest_last]
    counted = np.zeros(references.size, dtype=bool)
    counted[kept] = windows[kept] == best_cells[references[kept]]
    return best, counted


def _starts(*keys: IntArray) -> NDArray[np.bool_]:
    """Whether sorted keys differ from the preceding ones."""
    starts = np.ones(keys[0].size, dtype=bool)
    starts[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    return starts
