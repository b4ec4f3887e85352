"""Signals of a segment: the numbers from which its probability is calculated."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dubl.matching.calibration import Signals
from dubl.matching.motion import common_motion
from dubl.matching.timeline import Line
from dubl.ports import Comparator
from dubl.types import (
    FIRST_STREAM,
    WHOLE_FRAME,
    Float16Array,
    Float32Array,
    Float64Array,
    Segment,
    VideoFeatures,
)

IndexArray = NDArray[np.int64]

EDGE_S = 0.75  # seconds from a video's end within which a segment touches it; chosen
# Bounds of an intro or outro; all chosen.
MAX_EDGE_SHARE = 0.8  # share of a video; a longer segment is not an intro or outro
SHORT_EDGE_S = 5.0  # seconds; titles of short clips take a large share
MAX_LONG_EDGE_SHARE = 1 / 3  # share of the reference, for a segment longer than SHORT_EDGE_S
MAX_EDGE_LENGTH_S = 120.0  # seconds; openings of series last about 90 s
STEP = 0.3  # cosine; a change of similarity where an intro ends; chosen
OWN_SPEED = 0.03  # difference from speed 1; chosen, about the error of alignment
MARGIN_S = 0.25  # seconds around a segment given to the comparator; chosen, half a query step
MIN_INSTANTS = 6  # fewer instants may change alike by chance; chosen
MAX_FRAMES = 128  # frames of one side given to the comparator; chosen, bounds its time


def measure_signals(
    segment: Segment,
    query: VideoFeatures,
    reference: VideoFeatures,
    comparator: Comparator | None = None,
) -> Signals:
    """All signals of one segment but `normalized_similarity`, which needs the other references.

    The most similar pair of views is used. Without a comparator, that signal is 0.
    """
    views = alike_views(segment, query, reference)
    even = even_part(segment, query, reference, views)
    motion = common_motion(
        _descriptors(segment, query, reference, *views), _regions(segment, query, reference, *views)
    )
    return Signals(
        similarity=segment.similarity,
        motion=motion.signal(segment.similarity),
        common_change=motion.change,
        log_duration=math.log1p(segment.query_end_s - segment.query_start_s),
        own_speed=float(not segment.reversed and abs(segment.speed - 1.0) <= OWN_SPEED),
        comparator=(
            learned_similarity(segment, query, reference, comparator, views) if comparator else 0.0
        ),
        shared_edge=_is_intro_or_outro(even, query, reference),
    )


def common_change(segment: Segment, query: VideoFeatures, reference: VideoFeatures) -> float:
    """How surely both sides of the segment change in the same way, in [0,1]; 0 below
    MIN_INSTANTS."""
    views = alike_views(segment, query, reference)
    motion = common_motion(
        _descriptors(segment, query, reference, *views), _regions(segment, query, reference, *views)
    )
    return motion.change if motion.count >= MIN_INSTANTS else 0.0


def line_of(segment: Segment) -> Line:
    """The line through the segment's ends."""
    slope = -segment.speed if segment.reversed else segment.speed
    start_s = segment.reference_end_s if segment.reversed else segment.reference_start_s
    return Line(slope=slope, offset_s=start_s - slope * segment.query_start_s)


def alike_views(
    segment: Segment, query: VideoFeatures, reference: VideoFeatures
) -> tuple[int, int]:
    """The views (query, reference) with the highest mean cosine along the segment.

    A pair counts if its query view has at least half as many frames there as the fullest one.
    """
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


def video_stream(segment: Segment, query: VideoFeatures, reference: VideoFeatures) -> int | None:
    """Place of the query's video stream that the segment is of; None: the one that players show."""
    if not (query.views >= FIRST_STREAM).any():
        return None
    view, _ = alike_views(segment, query, reference)
    return view - FIRST_STREAM if view >= FIRST_STREAM else None


def learned_similarity(
    segment: Segment,
    query: VideoFeatures,
    reference: VideoFeatures,
    comparator: Comparator,
    views: tuple[int, int],
) -> float:
    """The comparator's similarity, in [0,1], of both sides of the segment in these views.

    Only the segment is compared: the rest of a long video would hide a short copy.
    """
    return comparator.similarity(*spans(segment, query, reference, views))


def spans(
    segment: Segment, query: VideoFeatures, reference: VideoFeatures, views: tuple[int, int]
) -> tuple[Float16Array, Float16Array]:
    """Region features [n,R,D] of the segment: in a view of the query, and in one of the reference.

    Query frames of a reversed segment are returned in reverse order, as the comparator expects.
    """
    direction = -1 if segment.reversed else 1
    ours = _span(query, views[0], (segment.query_start_s, segment.query_end_s))
    span_s = (segment.reference_start_s, segment.reference_end_s)
    return ours[::direction], _span(reference, views[1], span_s)


def _span(features: VideoFeatures, view: int, span_s: tuple[float, float]) -> Float16Array:
    """Region features [n,R,D] of a view within a span, evenly thinned to at most MAX_FRAMES."""
    times = features.timestamps_s
    inside = (times >= span_s[0] - MARGIN_S) & (times <= span_s[1] + MARGIN_S)
    rows = np.flatnonzero((features.views == view) & inside)
    step = max(1, -(-len(rows) // MAX_FRAMES))
    return features.region_features[rows[::step]]


def even_part(
    segment: Segment, query: VideoFeatures, reference: VideoFeatures, views: tuple[int, int]
) -> Segment:
    """The segment, cut where its similarity changes suddenly by STEP; the more similar part stays.

    Alignment may continue from a shared title into a similar scene after it. Reversed segments are
    returned unchanged.
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
    """Descriptors [n,D'] of a query view in the segment, and of the reference at these instants."""
    rows, columns, positions = _paired(segment, query, reference, ours, theirs)
    return (
        query.descriptors[rows].astype(np.float32),
        _at(reference.descriptors[columns], reference.timestamps_s[columns], positions),
    )


def _regions(
    segment: Segment, query: VideoFeatures, reference: VideoFeatures, ours: int, theirs: int
) -> tuple[Float32Array, Float32Array]:
    """Region features [n,R·D] of the same instants."""
    rows, columns, positions = _paired(segment, query, reference, ours, theirs)
    return (
        _flat(query.region_features[rows]),
        _at(reference.region_features[columns], reference.timestamps_s[columns], positions),
    )


def _paired(
    segment: Segment, query: VideoFeatures, reference: VideoFeatures, ours: int, theirs: int
) -> tuple[IndexArray, IndexArray, Float64Array]:
    """Rows of a query view in the segment, all rows of a reference view, and for each of the
    former its position in the reference, in seconds."""
    times = query.timestamps_s
    rows = np.flatnonzero(
        (query.views == ours)
        & (times >= segment.query_start_s - 1e-6)
        & (times <= segment.query_end_s + 1e-6)
    )
    columns = np.flatnonzero(reference.views == theirs)
    return rows, columns, line_of(segment).at(times[rows])


def _at(features: Float16Array, times_s: Float64Array, positions_s: Float64Array) -> Float32Array:
    """Features [U,...] of `times_s` [U], interpolated linearly at `positions_s` [n]: [n,·]."""
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
    """Whether both videos begin, or both end, with the segment, neither consists mostly of it, and
    it is short enough for an intro."""
    if segment.reversed:
        return False
    query_s, reference_s = max(query.duration_s, 1e-6), max(reference.duration_s, 1e-6)
    begins = max(segment.query_start_s, segment.reference_start_s) <= EDGE_S
    ends = max(query_s - segment.query_end_s, reference_s - segment.reference_end_s) <= EDGE_S
    length_s = segment.reference_end_s - segment.reference_start_s
    share = length_s / reference_s
    if length_s > SHORT_EDGE_S and (share > MAX_LONG_EDGE_SHARE or length_s > MAX_EDGE_LENGTH_S):
        return False
    covered = max((segment.query_end_s - segment.query_start_s) / query_s, share)
    return (begins or ends) and covered < MAX_EDGE_SHARE
