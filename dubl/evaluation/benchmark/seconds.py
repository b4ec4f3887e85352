"""Agreement between the seconds of a match and the truth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial

from dubl.evaluation.benchmark.answers import AnsweredQuery
from dubl.evaluation.metrics.segments import ScoredSegment
from dubl.evaluation.metrics.vcsl import Box, VcslPair


def boxes(query: AnsweredQuery, threshold: float) -> list[VcslPair]:
    """Found and true boxes of each pair with either; found: of matches that reach `threshold`."""
    predicted, true = _by_reference(_shown(query, threshold)), _by_reference(query.true_segments())
    return [
        VcslPair(
            predicted=[_box(one) for one in predicted.get(reference, ())],
            truth=[_box(one) for one in true.get(reference, ())],
        )
        for reference in sorted(predicted.keys() | true.keys())
    ]


def end_errors(query: AnsweredQuery, threshold: float) -> list[float]:
    """Distances of the four ends, in seconds, for each true segment that was found.

    A true segment is compared with the found one that overlaps it most; one without overlap counts
    as missed and has no errors. Only matches that reach `threshold` count.
    """
    found = _shown(query, threshold)
    errors: list[float] = []
    for true in query.true_segments():
        near = [one for one in found if one.pair == true.pair and one.overlaps(true)]
        if near:
            best = max(near, key=partial(_overlap, true))
            errors.extend(
                abs(have - want) for have, want in zip(_box(best), _box(true), strict=True)
            )
    return errors


def _shown(query: AnsweredQuery, threshold: float) -> list[ScoredSegment]:
    """Segments of the matches that reach the threshold."""
    shown = {one.reference_id for one in query.matches if one.probability >= threshold}
    return [one for one in query.found_segments() if one.reference_id in shown]


def _by_reference(segments: Sequence[ScoredSegment]) -> dict[str, list[ScoredSegment]]:
    groups: defaultdict[str, list[ScoredSegment]] = defaultdict(list)
    for segment in segments:
        groups[segment.reference_id].append(segment)
    return groups


def _box(segment: ScoredSegment) -> Box:
    (query_start_s, query_end_s), (reference_start_s, reference_end_s) = segment.axes
    return query_start_s, reference_start_s, query_end_s, reference_end_s


def _overlap(one: ScoredSegment, other: ScoredSegment) -> float:
    """Common query seconds times common reference seconds."""
    (left, up), (right, down) = one.axes, other.axes
    query_s = min(left[1], right[1]) - max(left[0], right[0])
    return query_s * (min(up[1], down[1]) - max(up[0], down[0]))
