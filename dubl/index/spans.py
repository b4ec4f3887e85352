"""Stretches of a reference that show the same picture are searched for once.

A still of ten minutes would stand 600 times in the index and take all the places among the nearest
frames of a query; it stands there once, with the times of its first and of its last frame.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubl.types import Float16Array, Float64Array

# Vectors nearer to each other than this find the same frames (first place of VSC 2022, descriptor
# track).
SAME_COSINE = 0.975
STEP_S = 2.0
MAX_STEPS = 60

IntArray = NDArray[np.intp]


def span_starts(descriptors: Float16Array, times_s: Float64Array) -> IntArray:
    """First rows of the spans of one video, of unit descriptors [N,D'] in order of time.

    A span goes on while its first frame and the next one are nearly equal. Zero rows (nothing to
    be seen in them) begin spans of their own, and so do times that run backwards (another view).
    """
    vectors = descriptors.astype(np.float32)
    starts: list[int] = []
    for row in range(len(vectors)):
        follows = bool(starts) and times_s[row] > times_s[row - 1]
        if not (follows and vectors[row] @ vectors[starts[-1]] >= SAME_COSINE):
            starts.append(row)
    return np.array(starts, dtype=np.intp)


def span_ends(starts: IntArray, count: int) -> IntArray:
    """Last rows of spans that begin at `starts` and fill `count` rows."""
    ends: IntArray = np.append(starts[1:], count)[: len(starts)] - 1
    return ends


def moments(from_s: Float64Array, until_s: Float64Array) -> tuple[IntArray, Float64Array]:
    """Times STEP_S apart, both ends among them, that stand for spans in the vote: which span [M]
    and when [M]. Of long spans at most MAX_STEPS are taken."""
    steps = np.minimum(np.ceil((until_s - from_s) / STEP_S), MAX_STEPS).astype(np.intp)
    owners = np.repeat(np.arange(len(from_s)), steps + 1)
    firsts = np.cumsum(steps + 1) - (steps + 1)
    shares = (np.arange(len(owners)) - firsts[owners]) / np.maximum(steps, 1)[owners]
    return owners, from_s[owners] + shares * (until_s - from_s)[owners]
