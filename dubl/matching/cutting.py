"""Taking stretches out of segments: what lies wholly inside one is gone, the rest is cut."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from dubl.types import Segment

Span = tuple[float, float]
Shares = list[tuple[float, float]]


def cut_reference(
    segments: Iterable[Segment], spans: Sequence[Span], *, min_segment_s: float
) -> list[Segment]:
    """Segments without what lies within `spans` of the reference, in seconds."""
    return [
        piece
        for segment in segments
        for piece in _pieces(segment, _kept_of_reference(segment, spans), min_segment_s)
    ]


def cut_query(
    segments: Iterable[Segment], spans: Sequence[Span], *, min_segment_s: float
) -> list[Segment]:
    """Segments without what lies within `spans` of the query, in seconds."""
    return [
        piece
        for segment in segments
        for piece in _pieces(segment, _kept_of_query(segment, spans), min_segment_s)
    ]


def covered_s(segments: Iterable[Segment]) -> float:
    """Seconds of the query that the segments cover, each once."""
    covered = until = 0.0
    for start_s, end_s in sorted((one.query_start_s, one.query_end_s) for one in segments):
        covered += max(0.0, end_s - max(start_s, until))
        until = max(until, end_s)
    return covered


def _pieces(segment: Segment, kept: Shares, min_segment_s: float) -> list[Segment]:
    if kept == [(0.0, 1.0)]:
        return [segment]
    pieces = [_piece(segment, first, last) for first, last in kept]
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


def _kept_of_reference(segment: Segment, spans: Sequence[Span]) -> Shares:
    kept = _kept(segment.reference_start_s, segment.reference_end_s, spans)
    return [(1 - last, 1 - first) for first, last in kept] if segment.reversed else kept


def _kept_of_query(segment: Segment, spans: Sequence[Span]) -> Shares:
    return _kept(segment.query_start_s, segment.query_end_s, spans)


def _kept(start_s: float, end_s: float, spans: Sequence[Span]) -> Shares:
    """What is left of a stretch, as shares of it."""
    length_s = max(end_s - start_s, 1e-9)
    kept, at = [], 0.0
    for first_s, last_s in sorted(spans):
        first, last = ((edge - start_s) / length_s for edge in (first_s, last_s))
        if last <= at or first >= 1.0:
            continue
        if first > at:
            kept.append((at, first))
        at = last
    return [*kept, (at, 1.0)] if at < 1.0 else kept
