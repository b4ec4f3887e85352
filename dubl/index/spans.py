"""Spans: consecutive frames with the same picture are indexed once, and searched for once.

A still picture of ten minutes would be in the index 600 times and take all places among the nearest
frames of a query. It is there once, with the times of its first and last frame.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubl.types import Float16Array, Float32Array, Float64Array

# Cosine above which two vectors find the same frames; from the first place of VSC 2022, descriptor
# track.
SAME_COSINE = 0.975
STEP_S = 2.0  # seconds between the moments of a span in the vote; chosen, half a window
MAX_STEPS = 60  # moments of one span; chosen, bounds the time of the vote
BLOCK_ROWS = 256  # rows of one matrix product; chosen

IntArray = NDArray[np.intp]


def span_starts(descriptors: Float16Array, times_s: Float64Array) -> IntArray:
    """First rows of the spans of one video, from unit descriptors [N,D'] in order of time.

    A span continues while the next frame is nearly equal to its first frame. Zero rows (frames
    without content) start spans of their own, and so does a step back in time (another view).
    """
    vectors = descriptors.astype(np.float32)
    starts: list[int] = []
    for row in range(len(vectors)):
        follows = bool(starts) and times_s[row] > times_s[row - 1]
        if not (follows and vectors[row] @ vectors[starts[-1]] >= SAME_COSINE):
            starts.append(row)
    return np.array(starts, dtype=np.intp)


def span_ends(starts: IntArray, count: int) -> IntArray:
    """Last rows of spans that start at `starts` and fill `count` rows."""
    ends: IntArray = np.append(starts[1:], count)[: len(starts)] - 1
    return ends


def moments(from_s: Float64Array, until_s: Float64Array) -> tuple[IntArray, Float64Array]:
    """Moments of spans for the vote: index of the span [M] and time in seconds [M].

    They are about STEP_S apart and include both ends; a long span has at most MAX_STEPS + 1.
    """
    steps = np.minimum(np.ceil((until_s - from_s) / STEP_S), MAX_STEPS).astype(np.intp)
    owners = np.repeat(np.arange(len(from_s)), steps + 1)
    firsts = np.cumsum(steps + 1) - (steps + 1)
    shares = (np.arange(len(owners)) - firsts[owners]) / np.maximum(steps, 1)[owners]
    return owners, from_s[owners] + shares * (until_s - from_s)[owners]


def joined(from_s: Float64Array, until_s: Float64Array) -> list[tuple[float, float]]:
    """First and last seconds of spans [N], ascending, with those at most STEP_S apart as one.

    Spans of several views of one moment overlap; they are one, too.
    """
    whole: list[tuple[float, float]] = []
    for start_s, end_s in sorted(zip(from_s.tolist(), until_s.tolist(), strict=True)):
        if whole and start_s - whole[-1][1] <= STEP_S:
            whole[-1] = (whole[-1][0], max(whole[-1][1], end_s))
        else:
            whole.append((start_s, end_s))
    return whole


def distinct_rows(descriptors: Float16Array, *, limit: int) -> NDArray[np.intp]:
    """Indexes of at most `limit` distinct rows of [N,D'], ascending.

    Zero rows (frames without content) and rows almost equal to an earlier one are left out. More
    than `limit` rows are thinned evenly.
    """
    rows = np.flatnonzero(descriptors.any(axis=1))
    vectors = descriptors[rows].astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    kept = rows[_unlike_earlier(vectors)]
    if kept.size <= limit:
        return kept
    return kept[np.linspace(0, kept.size - 1, limit).round().astype(np.intp)]


def _unlike_earlier(vectors: Float32Array) -> NDArray[np.bool_]:
    """Greedy choice: a row is dropped if an earlier chosen row is near. Works in blocks."""
    kept = np.zeros(vectors.shape[0], dtype=bool)
    for start in range(0, vectors.shape[0], BLOCK_ROWS):
        block = vectors[start : start + BLOCK_ROWS]
        fresh = (block @ vectors[:start][kept[:start]].T < SAME_COSINE).all(axis=1)
        near = block @ block.T >= SAME_COSINE
        for row in np.flatnonzero(fresh):
            kept[start + row] = not near[row, :row][kept[start : start + row]].any()
    return kept
