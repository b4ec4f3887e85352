"""From frame hits to references: hits that keep one timing count together.

For a copy at speed v, reference_time - v * query_time is the same for all frames. For each of a
few speeds, hits fall into windows of that offset; a reference scores as its best window does. Hits
that are scattered over the reference fall into many windows and stay weak.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubl.types import Float64Array

IntArray = NDArray[np.intp]

SPEEDS = (1.0, 0.5, 0.8, 1.25, 2.0, -1.0)
WINDOW_S = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hits:
    """H frame hits: arrays [H] of the query's times, of references as codes 0…R-1, of their
    times, and of cosine similarities."""

    query_times_s: Float64Array
    references: IntArray
    reference_times_s: Float64Array
    similarities: Float64Array

    def __len__(self) -> int:
        return int(self.references.shape[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Votes:
    """Per reference: a score in [0,1], and in `supporting` [H] which hits speak for it."""

    scores: Float64Array
    supporting: NDArray[np.bool_]


def vote(hits: Hits, *, reference_count: int, query_count: int, floor: float) -> Votes:
    """Scores references by the sum, over the query's times, of the best hit's weight within the
    best window; divided by `query_count`, the number of times that were searched for.

    weight = ((similarity - floor) / (1 - floor))²: a few close hits outweigh many faint ones.
    """
    scores = np.zeros(reference_count)
    supporting = np.zeros(len(hits), dtype=bool)
    if len(hits) == 0:
        return Votes(scores=scores, supporting=supporting)
    weights = np.clip((hits.similarities - floor) / (1 - floor), 0, 1) ** 2
    _, times = np.unique(hits.query_times_s, return_inverse=True)
    for speed in SPEEDS:
        offsets = hits.reference_times_s - speed * hits.query_times_s
        # Windows overlap by half, so that no offset lies near the edge of both.
        for shift in (0.0, 0.5):
            windows = np.floor(offsets / WINDOW_S + shift).astype(np.intp)
            cells, best = _best_by_reference(hits.references, windows, times, weights)
            better = best > scores
            scores = np.where(better, best, scores)
            chosen = windows == cells[hits.references]
            supporting = np.where(better[hits.references], chosen, supporting)
    return Votes(scores=scores / max(query_count, 1), supporting=supporting)


def _best_by_reference(
    references: IntArray, windows: IntArray, times: IntArray, weights: Float64Array
) -> tuple[IntArray, Float64Array]:
    """The heaviest window of each reference [R], and its weight [R]."""
    count = int(references.max()) + 1
    # One hit a query time and window: the heaviest, which sorting puts first.
    order = np.lexsort((-weights, times, windows, references))
    keys = np.stack([references[order], windows[order], times[order]])
    first = np.ones(order.size, dtype=bool)
    first[1:] = (keys[:, 1:] != keys[:, :-1]).any(axis=0)
    kept = order[first]
    starts = np.ones(kept.size, dtype=bool)
    pairs = np.stack([references[kept], windows[kept]])
    starts[1:] = (pairs[:, 1:] != pairs[:, :-1]).any(axis=0)
    sums = np.add.reduceat(weights[kept], np.flatnonzero(starts))
    owners, cells = pairs[0][starts], pairs[1][starts]
    heaviest = np.lexsort((sums, owners))
    best_cells = np.zeros(count, dtype=np.intp)
    best = np.zeros(count)
    best_cells[owners[heaviest]] = cells[heaviest]
    best[owners[heaviest]] = sums[heaviest]
    return best_cells, best
