"""Versions: references that are copies of one another.

A library may hold one film many times: sizes, grades, cuts. All of them resemble a copy of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from dubl.matching.signals import common_change, line_of
from dubl.matching.timeline import Line
from dubl.types import Segment, VideoFeatures


def versions(
    references: Mapping[str, VideoFeatures],
    segments: Mapping[str, Segment],
    *,
    min_change: float,
) -> dict[str, frozenset[str]]:
    """For each id in `segments`, the ids of the other references that are copies of it.

    segments: of one query, by reference id. Two references that share seconds of it are laid on one
    another there, and compared as far as both last: an excerpt may be too short to tell.
    min_change: common change, in [0,1], from which two references are copies of one another. Two
    recordings of one room look alike, but change differently.
    """
    found: dict[str, set[str]] = {name: set() for name in segments}
    for one, other in combinations(segments, 2):
        shared = _shared(
            _Side(segment=segments[one], duration_s=references[one].duration_s),
            _Side(segment=segments[other], duration_s=references[other].duration_s),
        )
        if shared is None:
            continue
        if common_change(shared, references[one], references[other]) >= min_change:
            found[one].add(other)
            found[other].add(one)
    return {name: frozenset(others) for name, others in found.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    segment: Segment
    duration_s: float


def _shared(one: _Side, other: _Side) -> Segment | None:
    """The stretch of `one` (as the query) and `other` (as the reference) that lie on one another
    by their segments with a third video; None if these share none of its seconds."""
    first, second = one.segment, other.segment
    if max(first.query_start_s, second.query_start_s) >= min(first.query_end_s, second.query_end_s):
        return None
    line = _through(line_of(first), line_of(second))
    ends = sorted((-line.offset_s / line.slope, (other.duration_s - line.offset_s) / line.slope))
    start_s, end_s = max(0.0, ends[0]), min(one.duration_s, ends[1])
    if end_s <= start_s:
        return None
    low, high = sorted(line.slope * at + line.offset_s for at in (start_s, end_s))
    return Segment(
        query_start_s=start_s,
        query_end_s=end_s,
        reference_start_s=low,
        reference_end_s=high,
        similarity=min(first.similarity, second.similarity),
        reversed=line.slope < 0,
    )


def _through(first: Line, second: Line) -> Line:
    """From seconds of the first reference to those of the second."""
    slope = second.slope / first.slope
    return Line(slope=slope, offset_s=second.offset_s - slope * first.offset_s)
