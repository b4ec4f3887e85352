"""What speaks for a segment being a copy, as a few numbers."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dubl.matching.calibration import Evidence
from dubl.matching.motion import common_motion
from dubl.matching.timeline import Line
from dubl.ports import Comparator
from dubl.types import (
    WHOLE_FRAME,
    Float16Array,
    Float32Array,
    Float64Array,
    Segment,
    VideoFeatures,
)

IndexArray = NDArray[np.int64]

EDGE_S = 0.75
MAX_EDGE_SHARE = 0.8
STEP = 0.3
OWN_SPEED = 0.03
MARGIN_S = 0.25
MAX_FRAMES = 128


def gather_evidence(
    segment: Segment,
    query: VideoFeatures,
    reference: VideoFeatures,
    comparator: Comparator | None = None,
) -> Evidence:
    """Evidence of one segment of two videos; how it stands out among others is not yet known.

    Of several views, the two that are most alike speak. Without a comparator its part is 0: it
    costs some milliseconds a segment.
    """
    views = alike_views(segment, query, reference)
    even = even_part(segment, query, reference, views)
    return Evidence(
        similarity=segment.similarity,
        motion=common_motion(
            _descriptors(segment, query, reference, *views),
            _regions(segment, query, reference, *views),
            similarity=segment.similarity,
        ),
        log_duration=math.log1p(segment.query_end_s - segment.query_start_s),
        own_speed=float(not segment.reversed and abs(segment.speed - 1.0) <= OWN_SPEED),
        comparator=(
            learned_similarity(segment, query, reference, comparator, views) if comparator else 0.0
        ),
        shared_edge=_is_intro_or_outro(even, query, reference),
    )


def line_of(segment: Segment) -> Line:
    """The line through the segment's ends."""
    slope = -segment.speed if segment.reversed else segment.speed
    start_s = segment.reference_end_s if segment.reversed else segment.reference_start_s
    return Line(slope=slope, offset_s=start_s - slope * segment.query_start_s)


def alike_views(
    segment: Segment, query: VideoFeatures, reference: VideoFeatures
) -> tuple[int, int]:
    """The view of each side, of those that show half of the segment, whose descriptors are most
    alike along it."""
    pairs = [
        (int(ours), int(theirs))
        for ours in np.unique(query.views)
        for theirs in np.unique(reference.views)
    ]
    if len(pairs) < 2:
        return pairs[0] if pairs else (WHOLE_FRAME, WHOLE_FRAME)
    sides = [_descriptors(segment, query, reference, *views) for views in pairs]
    most = max(len(left) for left, _ in sides)
    cosines = [
        float((left * right).sum(axis=1).mean()) if len(left) and 2 * len(left) >= most else -1.0
        for left, right in sides
    ]
    return pairs[int(np.argmax(cosines))]


def learned_similarity(
    segment: Segment,
    query: VideoFeatures,
    reference: VideoFeatures,
    comparator: Comparator,
    views: tuple[int, int],
) -> float:
    """The comparator's similarity, in [0,1], of what the segment spans in these views.

    Only the span counts, so that a short copy in a long video is not diluted.
    """
    return comparator.similarity(*spans(segment, query, reference, views))


def spans(
    segment: Segment, query: VideoFeatures, reference: VideoFeatures, views: tuple[int, int]
) -> tuple[Float16Array, Float16Array]:
    """Region features [n,R,D] of what the segment spans in a view of the query and of the
    reference.

    The query's side of a reversed segment runs backwards: to the comparator it then looks like
    any other.
    """
    direction = -1 if segment.reversed else 1
    ours = _span(query, views[0], (segment.query_start_s, segment.query_end_s))
    span_s = (segment.reference_start_s, segment.reference_end_s)
    return ours[::direction], _span(reference, views[1], span_s)


def _span(features: VideoFeatures, view: int, span_s: tuple[float, float]) -> Float16Array:
    """Region features [n,R,D] of a view within the seconds, at most MAX_FRAMES, evenly thinned."""
    times = features.timestamps_s
    inside = (times >= span_s[0] - MARGIN_S) & (times <= span_s[1] + MARGIN_S)
    rows = np.flatnonzero((features.views == view) & inside)
    step = max(1, -(-len(rows) // MAX_FRAMES))
    return features.region_features[rows[::step]]


def even_part(
    segment: Segment, query: VideoFeatures, reference: VideoFeatures, views: tuple[int, int]
) -> Segment:
    """The more alike part where similarity changes by STEP at one instant, else all of it; all
    of a reversed segment, which is no intro.

    A shared title is the same to the pixel, and what follows it in the same room is only alike:
    alignment may run on from one into the other.
    """
    if segment.reversed:
        return segment
    left, right = _descriptors(segment, query, reference, *views)
    lengths = np.linalg.norm(right, axis=1)
    cosines = (left * right).sum(axis=1) / np.maximum(lengths, 1e-6)
    falls = {
        cut: float(cosines[:cut].mean() - cosines[cut:].mean())
        for cut in range(2, len(cosines) - 1)
        if abs(cosines[cut] - cosines[cut - 1]) >= STEP
    }
    cut = max(falls, key=lambda place: abs(falls[place]), default=0)
    if not cut or abs(falls[cut]) < STEP:
        return segment
    rows, _, positions = _paired(segment, query, reference, *views)
    at_s, there_s = float(query.timestamps_s[rows[cut]]), float(positions[cut])
    if falls[cut] > 0:
        return replace(segment, query_end_s=at_s, reference_end_s=there_s)
    return replace(segment, query_start_s=at_s, reference_start_s=there_s)


def _descriptors(
    segment: Segment, query: VideoFeatures, reference: VideoFeatures, ours: int, theirs: int
) -> tuple[Float32Array, Float32Array]:
    """Descriptors of a view of the query in the segment, and of the reference at the same moments,
    [n,D'] each."""
    rows, columns, positions = _paired(segment, query, reference, ours, theirs)
    return (
        query.descriptors[rows].astype(np.float32),
        _at(reference.descriptors[columns], reference.timestamps_s[columns], positions),
    )


def _regions(
    segment: Segment, query: VideoFeatures, reference: VideoFeatures, ours: int, theirs: int
) -> tuple[Float32Array, Float32Array]:
    """Region features likewise, [n,R·D] each."""
    rows, columns, positions = _paired(segment, query, reference, ours, theirs)
    return (
        _flat(query.region_features[rows]),
        _at(reference.region_features[columns], reference.timestamps_s[columns], positions),
    )


def _paired(
    segment: Segment, query: VideoFeatures, reference: VideoFeatures, ours: int, theirs: int
) -> tuple[IndexArray, IndexArray, Float64Array]:
    """The query's rows of a view in the segment, the reference's rows of a view, and where in the
    reference, in seconds, the former lie."""
    times = query.timestamps_s
    rows = np.flatnonzero(
        (query.views == ours)
        & (times >= segment.query_start_s - 1e-6)
        & (times <= segment.query_end_s + 1e-6)
    )
    columns = np.flatnonzero(reference.views == theirs)
    return rows, columns, line_of(segment).at(times[rows])


def _at(features: Float16Array, times_s: Float64Array, positions_s: Float64Array) -> Float32Array:
    """Features [U,...] at `times_s` [U], linearly between frames, at `positions_s`: [n,·]."""
    place = np.interp(positions_s, times_s, np.arange(len(times_s)))
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, len(times_s) - 1)
    flat = _flat(features)
    share = (place - low)[:, None].astype(np.float32)
    values = flat[low] * (1 - share) + flat[high] * share
    return values.astype(np.float32)


def _flat(features: Float16Array) -> Float32Array:
    """[n,...] → [n,·], also for no rows at all."""
    flat: Float32Array = features.astype(np.float32).reshape(
        len(features), math.prod(features.shape[1:])
    )
    return flat


def _is_intro_or_outro(segment: Segment, query: VideoFeatures, reference: VideoFeatures) -> bool:
    """Both videos begin with it, or both end with it, and neither is mostly made of it:
    what a shared title or shared credits look like."""
    if segment.reversed:
        return False
    query_s, reference_s = max(query.duration_s, 1e-6), max(reference.duration_s, 1e-6)
    begins = max(segment.query_start_s, segment.reference_start_s) <= EDGE_S
    ends = max(query_s - segment.query_end_s, reference_s - segment.reference_end_s) <= EDGE_S
    covered = max(
        (segment.query_end_s - segment.query_start_s) / query_s,
        (segment.reference_end_s - segment.reference_start_s) / reference_s,
    )
    return (begins or ends) and covered < MAX_EDGE_SHARE
