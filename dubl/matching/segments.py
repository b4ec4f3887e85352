"""Operations on segments: rejecting echoes, merging, cutting out spans, covered seconds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from dubl.types import Segment

# All values are chosen. Similarities and lengths are shares of the earlier segment's.
MERGE_SPEED = 0.08  # difference of ln(speed) up to which two segments may be merged
MERGE_OFFSET_S = 1.0  # seconds between their lines up to which they may be merged
ECHO_OVERLAP = 0.3  # share of the segment; above it the segment may be an echo
ECHO_LENGTH = 0.9  # an overlapping shorter segment is an echo
ADJACENT_S = 2.0  # seconds between two adjacent segments, on both sides
ADJACENT_SIMILARITY = 0.9  # an overlapping adjacent segment below it is an echo
DISTANT_SIMILARITY = 0.7  # an overlapping distant segment below it is an echo
WEAK_SIMILARITY = 0.5  # any segment below it is chance

Span = tuple[float, float]
Shares = list[tuple[float, float]]


def is_echo(segment: Segment, taken: Sequence[Segment]) -> bool:
    """Whether `segment` is a side effect of an earlier one rather than another copy.

    Frames of one shot are similar. So every copied stretch has shorter and weaker neighbors over
    the same seconds of one side. A true repetition is about as long and as similar as the first
    find. Much weaker finds elsewhere are chance.
    """
    return any(_echoes(segment, one) for one in taken)


def _echoes(segment: Segment, one: Segment) -> bool:
    if segment.similarity < WEAK_SIMILARITY * one.similarity:
        return True
    in_query = _overlap(
        segment.query_start_s, segment.query_end_s, one.query_start_s, one.query_end_s
    )
    in_reference = _overlap(
        segment.reference_start_s,
        segment.reference_end_s,
        one.reference_start_s,
        one.reference_end_s,
    )
    if max(in_query, in_reference) < ECHO_OVERLAP:
        return False
    length = min(
        (segment.query_end_s - segment.query_start_s) / (one.query_end_s - one.query_start_s),
        (segment.reference_end_s - segment.reference_start_s)
        / (one.reference_end_s - one.reference_start_s),
    )
    beside = _adjoins(segment, one)
    least = ADJACENT_SIMILARITY if beside else DISTANT_SIMILARITY
    return length < ECHO_LENGTH or segment.similarity < least * one.similarity


def _adjoins(segment: Segment, one: Segment) -> bool:
    """Whether both lie within ADJACENT_S of each other in query and reference."""
    query_gap = max(segment.query_start_s, one.query_start_s) - min(
        segment.query_end_s, one.query_end_s
    )
    reference_gap = max(segment.reference_start_s, one.reference_start_s) - min(
        segment.reference_end_s, one.reference_end_s
    )
    return max(query_gap, reference_gap) <= ADJACENT_S


def _overlap(start: float, end: float, other_start: float, other_end: float) -> float:
    """Share of [start, end] inside the other interval."""
    return max(0.0, min(end, other_end) - max(start, other_start)) / max(end - start, 1e-6)


def merge_collinear(segments: Sequence[Segment], *, max_gap_s: float) -> list[Segment]:
    """Merges segments that continue each other on one line; sorted by query time."""
    merged: list[Segment] = []
    for segment in sorted(segments, key=lambda one: (one.query_start_s, one.reference_start_s)):
        partner = next((one for one in merged if _continues(one, segment, max_gap_s)), None)
        if partner is None:
            merged.append(segment)
        else:
            merged[merged.index(partner)] = _joined(partner, segment)
    return merged


def _continues(one: Segment, other: Segment, max_gap_s: float) -> bool:
    if one.reversed != other.reversed:
        return False
    gap = other.query_start_s - one.query_end_s
    if one.reversed:
        reference_gap = one.reference_start_s - other.reference_end_s
    else:
        reference_gap = other.reference_start_s - one.reference_end_s
    same_speed = abs(np.log(max(one.speed, 1e-6) / max(other.speed, 1e-6))) < MERGE_SPEED
    on_line = abs(reference_gap - gap * one.speed) <= MERGE_OFFSET_S
    return bool(same_speed and on_line and -max_gap_s <= gap <= max_gap_s)


def _joined(one: Segment, other: Segment) -> Segment:
    lengths = np.array([s.query_end_s - s.query_start_s for s in (one, other)])
    similarity = float(np.average([one.similarity, other.similarity], weights=lengths))
    return Segment(
        query_start_s=min(one.query_start_s, other.query_start_s),
        query_end_s=max(one.query_end_s, other.query_end_s),
        reference_start_s=min(one.reference_start_s, other.reference_start_s),
        reference_end_s=max(one.reference_end_s, other.reference_end_s),
        similarity=similarity,
        reversed=one.reversed,
    )


def cut_reference(
    segments: Iterable[Segment], spans: Sequence[Span], *, min_segment_s: float
) -> list[Segment]:
    """Segments without what lies within `spans` of the reference, in seconds."""
    return [
        piece
        for segment in segments
        for piece in _pieces(segment, _rest_of_reference(segment, spans), min_segment_s)
    ]


def cut_query(
    segments: Iterable[Segment], spans: Sequence[Span], *, min_segment_s: float
) -> list[Segment]:
    """Segments without what lies within `spans` of the query, in seconds."""
    return [
        piece
        for segment in segments
        for piece in _pieces(segment, _rest_of_query(segment, spans), min_segment_s)
    ]


def covered_s(segments: Iterable[Segment]) -> float:
    """Seconds of the query that the segments cover, each once."""
    covered = until = 0.0
    for start_s, end_s in sorted((one.query_start_s, one.query_end_s) for one in segments):
        covered += max(0.0, end_s - max(start_s, until))
        until = max(until, end_s)
    return covered


def _pieces(segment: Segment, rest: Shares, min_segment_s: float) -> list[Segment]:
    if rest == [(0.0, 1.0)]:
        return [segment]
    pieces = [_piece(segment, first, last) for first, last in rest]
    return [one for one in pieces if one.query_end_s - one.query_start_s >= min_segment_s]


def _piece(segment: Segment, first: float, last: float) -> Segment:
    """The part between two shares of the query's side."""
    theirs = (1 - last, 1 - first) if segment.reversed else (first, last)
    query_s = segment.query_end_s - segment.query_start_s
    reference_s = segment.reference_end_s - segment.reference_start_s
    return replace(
        segment,
        query_start_s=segment.query_start_s + first * query_s,
        query_end_s=segment.query_start_s + last * query_s,
        reference_start_s=segment.reference_start_s + theirs[0] * reference_s,
        reference_end_s=segment.reference_start_s + theirs[1] * reference_s,
    )


def _rest_of_reference(segment: Segment, spans: Sequence[Span]) -> Shares:
    rest = _rest(segment.reference_start_s, segment.reference_end_s, spans)
    return [(1 - last, 1 - first) for first, last in rest] if segment.reversed else rest


def _rest_of_query(segment: Segment, spans: Sequence[Span]) -> Shares:
    return _rest(segment.query_start_s, segment.query_end_s, spans)


def _rest(start_s: float, end_s: float, spans: Sequence[Span]) -> Shares:
    """What is left of a stretch, as shares of it."""
    length_s = max(end_s - start_s, 1e-9)
    rest, at = [], 0.0
    for first_s, last_s in sorted(spans):
        first, last = ((edge - start_s) / length_s for edge in (first_s, last_s))
        if last <= at or first >= 1.0:
            continue
        if first > at:
            rest.append((at, first))
        at = last
    return [*rest, (at, 1.0)] if at < 1.0 else rest
