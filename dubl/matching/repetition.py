"""Repetitions: further times at which the query shows a segment that was found, as in a loop.

The greedy search closes the seconds of the reference that a segment covers, as frames of one shot
are similar and every segment has weaker neighbors. A repetition is about as similar as the best
one, and clearly more similar than the same seconds of the reference at other times of the query.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from dubl.matching.peaks import Matrix
from dubl.matching.profile import read_line
from dubl.matching.segments import covered_s
from dubl.matching.signals import line_of
from dubl.matching.timeline import Timeline
from dubl.types import Float64Array, Segment

# All values are chosen. Similarities are means along a segment.
MIN_CONTRAST = 0.03  # best similarity above the usual one at other times of the query
MAX_LOSS = 0.25  # share of this contrast that a repetition may lose
MAX_OVERLAP = 0.2  # share of a repetition that other segments may cover
MAX_ROWS = 256  # instants read along a segment; bounds the time


def repetitions(
    segments: Sequence[Segment], similarity: Matrix, query: Timeline, reference: Timeline
) -> Iterator[Segment]:
    """Repetitions of `segments` in seconds of the query that no other covers, best first for each.

    `similarity` [T,U]. A partial one, as at the end of a query, is not found.
    """
    covered = list(segments)
    for segment in segments:
        if query.duration_s - covered_s(covered) < segment.query_end_s - segment.query_start_s:
            continue
        for one in _similar(segment, similarity, query, reference):
            if _is_free(one, covered):
                covered.append(one)
                yield one


def _is_free(segment: Segment, covered: Sequence[Segment]) -> bool:
    """Whether others cover at most MAX_OVERLAP of its seconds of the query."""
    start_s, end_s = segment.query_start_s, segment.query_end_s
    shared_s = sum(
        max(0.0, min(end_s, one.query_end_s) - max(start_s, one.query_start_s)) for one in covered
    )
    return shared_s <= MAX_OVERLAP * (end_s - start_s)


def _similar(
    segment: Segment, similarity: Matrix, query: Timeline, reference: Timeline
) -> list[Segment]:
    """The segment at all times of the query where it is about as similar, most similar first."""
    step_s = query.step_s / 2
    first = -np.floor(segment.query_start_s / step_s)
    last = np.floor((query.duration_s - segment.query_end_s) / step_s + 1e-6)
    moves_s = np.arange(first, last + 1) * step_s
    values = _moved(segment, moves_s, similarity, query, reference)
    own, best, usual = float(values[int(-first)]), float(values.max()), float(np.median(values))
    if best - usual < MIN_CONTRAST:
        return []
    found = _summits(values, int(-first), level=best - MAX_LOSS * (best - usual), usual=usual)
    return [
        replace(
            segment,
            query_start_s=segment.query_start_s + float(moves_s[place]),
            query_end_s=segment.query_end_s + float(moves_s[place]),
            similarity=float(np.clip(segment.similarity + values[place] - own, 0.0, 1.0)),
        )
        for place in found
    ]


def _summits(values: Float64Array, own: int, *, level: float, usual: float) -> list[int]:
    """Places of `values` [S] of at least `level`, the highest first.

    Between any two of them, and `own`, the values fall to `usual`: a slow scene is similar for
    long, and its seconds are no repetition.
    """
    taken, found = [own], []
    for place in np.argsort(-values, kind="stable").tolist():
        if values[place] < level:
            break
        after = bisect(taken, place)
        sides = [*taken[after - 1 : after], *taken[after : after + 1]] if after else taken[:1]
        between = [values[min(side, place) : max(side, place) + 1].min() for side in sides]
        if max(between) <= usual:
            taken.insert(after, place)
            found.append(place)
    return found


def _moved(
    segment: Segment,
    moves_s: Float64Array,
    similarity: Matrix,
    query: Timeline,
    reference: Timeline,
) -> Float64Array:
    """Mean similarity [S] along the segment, moved by each of `moves_s` [S] in the query."""
    line = line_of(segment)
    starts = np.searchsorted(query.times_s, segment.query_start_s + moves_s - 1e-6)
    ends = np.searchsorted(query.times_s, segment.query_end_s + moves_s - 1e-6)
    most = int((ends - starts).max())
    total, count = np.zeros(len(moves_s)), np.zeros(len(moves_s))
    for ahead in range(0, most, -(-most // MAX_ROWS)):
        inside = starts + ahead < ends
        rows = (starts + ahead)[inside]
        positions = line.at(query.times_s[rows] - moves_s[inside])
        total[inside] += read_line(similarity, rows, positions, reference)[0]
        count[inside] += 1
    means: Float64Array = total / np.maximum(count, 1)
    return means
