"""Edges that stand still over many frames, and how much of a line they cover."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubl.types import Float32Array, Uint8Array

BoolArray = NDArray[np.bool_]

# Chosen on real clips with a static camera, for pictures of 320 x 320 pixels.
MAX_FRAMES = 24  # frames averaged; more gave no better result
EDGE_LEVELS = 5.0  # gray levels, least mean step of an edge
EDGE_RATIO = 1.8  # least ratio of the step to the steps beside it
NEAR, FAR = 4, 10  # pixels beside an edge that it is compared with: from, to
MAX_LINES = 20  # lines considered as sides of an inset; bounds the time
LINE_COVER = 0.5  # least cover of such a line
BEYOND = 24  # pixels examined beyond the ends of a side
OVERSHOOT = 0.5  # weight of the cover beyond the ends
QUARTER_COVER = 0.05  # least cover of each quarter of a line
SHORT = 8  # rows; up to this length additions are faster than a running sum (measured)


@dataclass(frozen=True, slots=True, kw_only=True)
class Maps:
    """gray: int16 [n,S,S]. edges: bool [S,S], true at the two columns beside an upright edge.
    detail: float32 [S,S], mean curvature along rows, in gray levels."""

    gray: NDArray[np.int16]
    edges: BoolArray
    detail: Float32Array


def maps_of(frames: Uint8Array) -> tuple[Maps, Maps]:
    """Maps of frames [N,S,S,3] as they are, and transposed."""
    count = min(len(frames), MAX_FRAMES)
    chosen = np.linspace(0, len(frames) - 1, count).round().astype(np.intp)
    gray = np.stack([_gray(frames[row]) for row in chosen])
    return _maps(gray), _maps(np.ascontiguousarray(gray.transpose(0, 2, 1)))


def _maps(gray: NDArray[np.int16]) -> Maps:
    # Frame by frame, so that the data stays in the processor's cache.
    shape = gray.shape[1], gray.shape[2] - 2
    steps, bends = np.zeros(shape, dtype=np.int32), np.zeros(shape, dtype=np.int32)
    for frame in gray:
        before, here, after = frame[:, :-2], frame[:, 1:-1], frame[:, 2:]
        steps += np.abs(after - before)
        bends += np.abs(after - 2 * here + before)
    step = np.pad(steps / len(gray), ((0, 0), (1, 1)))
    bend = np.pad(bends / len(gray), ((0, 0), (1, 1)))
    step = _running_mean(np.pad(step, ((2, 2), (0, 0)), mode="edge"), 5)
    beside = _running_mean(np.pad(step.T, ((FAR, FAR), (0, 0))), FAR - NEAR).T
    # Means of the columns x - FAR + 1 … x - NEAR and x + NEAR … x + FAR - 1.
    left, right = beside[:, 1 : -FAR - NEAR], beside[:, FAR + NEAR : -1]
    edges = (step > EDGE_LEVELS) & (step > EDGE_RATIO * np.maximum(left, right))
    return Maps(gray=gray, edges=edges, detail=bend.astype(np.float32))


def _gray(frame: Uint8Array) -> NDArray[np.int16]:
    red, green, blue = (frame[..., channel].astype(np.int16) for channel in range(3))
    gray: NDArray[np.int16] = (red + 2 * green + blue) >> 2
    return gray


def _running_mean(values: NDArray[np.floating], length: int) -> NDArray[np.float64]:
    """Means of `length` consecutive rows; the result has `length` - 1 rows fewer."""
    if length <= SHORT:  # a running sum down the columns takes longer than so many additions
        count = len(values) - length + 1
        total = values[:count].astype(np.float64)
        for first in range(1, length):
            total += values[first : first + count]
        return total / length
    sums = np.cumsum(np.pad(values, ((1, 0), (0, 0))), axis=0, dtype=np.float64)
    means: NDArray[np.float64] = (sums[length:] - sums[:-length]) / length
    return means


def covers_of(edges: BoolArray) -> Float32Array:
    """The share of rows with an edge in each column of [H,W]; 0 if a quarter has almost none."""
    quarters = np.stack([part.mean(axis=0) for part in np.array_split(edges, 4)])
    covers: Float32Array = edges.mean(axis=0).astype(np.float32)
    covers[quarters.min(axis=0) < QUARTER_COVER] = 0
    return covers


def side_places(edges: BoolArray, region: tuple[slice, slice], least: int) -> list[int]:
    """Columns of the region with an edge along most of any `least` rows, and both its ends."""
    start, end = region[1].start, region[1].stop
    shown = edges[region]
    if shown.shape[0] < least:
        return [start, end]
    covers = _running_mean(shown.astype(np.float32), least).max(axis=0)
    places: list[int] = []
    for place in np.argsort(-covers, kind="stable"):
        if covers[place] < LINE_COVER or len(places) == MAX_LINES:
            break
        if all(abs(int(place) - other) > 3 for other in (0, end - start, *places)):
            places.append(int(place))
    return sorted([start, *(start + place for place in places), end])


def side_covers(
    edges: BoolArray, columns: Sequence[int], rows: Sequence[int], ends: tuple[int, int]
) -> NDArray[np.float64]:
    """Covers [C,R,R] of column c from row r to row s > r, minus OVERSHOOT of the cover beyond.

    NaN for columns at the region's `ends`, which need no edge.
    """
    size = edges.shape[0]
    lines = edges[:, np.minimum(columns, size - 1)]
    sums = np.cumsum(np.pad(lines.astype(np.float64), ((1, 0), (0, 0))), axis=0)
    covers = np.zeros((len(columns), len(rows), len(rows)))
    for first, start in enumerate(rows):
        for last, end in enumerate(rows[first + 1 :], start=first + 1):
            above = max(start - BEYOND, 0), max(start - 2, 0)
            below = min(end + 2, size), min(end + BEYOND, size)
            beyond = sum(sums[stop] - sums[go] for go, stop in (above, below))
            length = above[1] - above[0] + below[1] - below[0]
            inside = (sums[end] - sums[start]) / (end - start)
            covers[:, first, last] = inside - OVERSHOOT * beyond / max(length, 1)
    covers[[column in ends for column in columns]] = np.nan
    return covers
