"""Calm shots: segments aligned anew by what changes in them.

Frames of one calm shot are so similar that a line at a wrong speed, or across two pieces of the
shot, is about as good as the true one. The deviations from the shot's mean tell them apart. The
best chain of lines through their cosines is found by dynamic programming (Viterbi): at each instant
of the query, a chain stays on its line or pays for another one. So a slowed copy gets its speed,
and a shot that is played forwards and backwards, or cut into pieces, gets a segment for each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dubl.matching.lines import polish_line, slopes_between
from dubl.matching.matrix import PairMatrix
from dubl.matching.motion import change_cosines
from dubl.matching.profile import read_line
from dubl.matching.segments import covered_s
from dubl.matching.signals import alike_views, common_change, line_of
from dubl.matching.timeline import Line, Timeline, stretch_end
from dubl.types import Float32Array, Float64Array, Segment, VideoFeatures

IndexArray = NDArray[np.int64]

# All values are chosen, on train clips.
MAX_INSTANTS = 80  # of either side of a shot; bounds the time
MIN_INSTANTS = 6  # fewer change alike by chance
SURE_CHANGE = 0.9  # common change from which a segment is left as it is
REACH = 0.15  # cosine below the usual one up to which further instants are of the shot
SPACING = 0.06  # ratio of neighboring speeds
LEAST_SPEED = 0.11  # a recording at 240 Hz that is shown at 30 Hz has an eighth
SWITCH_S = 0.4  # seconds of cosine that another line costs
UNUSUAL_S = 0.15  # seconds of cosine that each doubling or halving of speed costs
MIN_GAIN = 0.1  # mean cosine over the shot that others must gain; two takes gained less than .08
MIN_COVERED = 0.6  # share of the former segments' seconds that they must cover


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shot:
    """One shot of both videos. cosines: of the deviations from its means, float32 [n,m].

    Its times begin at 0, which is query_start_s and reference_start_s of the videos.
    """

    cosines: Float32Array
    query: Timeline
    reference: Timeline
    query_start_s: float
    reference_start_s: float

    def shows(self, segment: Segment) -> bool:
        """Whether the segment's middle is in the shot, on both sides."""
        at_s = (segment.query_start_s + segment.query_end_s) / 2 - self.query_start_s
        there_s = (segment.reference_start_s + segment.reference_end_s) / 2 - self.reference_start_s
        return 0 <= at_s <= self.query.duration_s and 0 <= there_s <= self.reference.duration_s

    def of(self, segment: Segment) -> Segment:
        """The segment in times of the shot."""
        return moved(segment, -self.query_start_s, -self.reference_start_s)


def moved(segment: Segment, query_s: float, reference_s: float) -> Segment:
    """The segment, both sides moved by these seconds."""
    return replace(
        segment,
        query_start_s=segment.query_start_s + query_s,
        query_end_s=segment.query_end_s + query_s,
        reference_start_s=segment.reference_start_s + reference_s,
        reference_end_s=segment.reference_end_s + reference_s,
    )


def realigned(
    segments: Sequence[Segment],
    pair: PairMatrix,
    query: VideoFeatures,
    reference: VideoFeatures,
    *,
    max_speed: float,
    min_segment_s: float,
) -> tuple[Segment, ...]:
    """The segments, best first; those of calm shots are replaced where others agree clearly better.

    `pair`: the similarity matrix of the videos, from which new segments have their similarity.
    """
    left, done = list(segments), []
    while left:
        shot = _shot(left[0], query, reference)
        if shot is None:
            done.append(left.pop(0))
            continue
        within = [one for one in left if one is left[0] or shot.shows(one)]
        left = [one for one in left if one not in within]
        better = _better(within, shot, max_speed=max_speed, min_segment_s=min_segment_s)
        done += within if better is None else [_with_similarity(one, pair) for one in better]
    return tuple(sorted(done, key=lambda one: -one.similarity * _length_s(one)))


def _length_s(segment: Segment) -> float:
    return segment.query_end_s - segment.query_start_s


def _shot(segment: Segment, query: VideoFeatures, reference: VideoFeatures) -> _Shot | None:
    """The shot of the segment; None if it is too short, too long, or surely aligned."""
    if common_change(segment, query, reference) >= SURE_CHANGE:
        return None
    ours, theirs = alike_views(segment, query, reference)
    rows, columns = np.flatnonzero(query.views == ours), np.flatnonzero(reference.views == theirs)
    sides = (
        Timeline.of(query.timestamps_s[rows], query.duration_s),
        Timeline.of(reference.timestamps_s[columns], reference.duration_s),
    )
    cosines = query.descriptors[rows].astype(np.float32) @ (
        reference.descriptors[columns].astype(np.float32).T
    )
    own = _inside(sides[0], segment.query_start_s, segment.query_end_s)
    there = _inside(sides[1], segment.reference_start_s, segment.reference_end_s)
    if not own.any() or not there.any():
        return None
    level = float(np.median(cosines[own][:, there].max(axis=1))) - REACH
    first, last = _reach(cosines[:, there].max(axis=1) >= level, own)
    left, right = _reach(cosines[own].max(axis=0) >= level, there)
    if not all(MIN_INSTANTS <= count <= MAX_INSTANTS for count in (last - first, right - left)):
        return None
    rows, columns = rows[first:last], columns[left:right]
    line, line_start_s = _part(sides[0], first, last)
    other, other_start_s = _part(sides[1], left, right)
    return _Shot(
        cosines=change_cosines(
            (query.descriptors[rows], reference.descriptors[columns]),
            (query.region_features[rows], reference.region_features[columns]),
        ),
        query=line,
        reference=other,
        query_start_s=line_start_s,
        reference_start_s=other_start_s,
    )


def _inside(side: Timeline, start_s: float, end_s: float) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = (side.times_s >= start_s - 1e-6) & (side.times_s <= end_s + 1e-6)
    return inside


def _reach(alike: NDArray[np.bool_], own: NDArray[np.bool_]) -> tuple[int, int]:
    """The instants `own`, and those `alike` beside them without a gap: [first, end)."""
    places = np.flatnonzero(own)
    first, last = int(places[0]), int(places[-1])
    while first > 0 and alike[first - 1]:
        first -= 1
    while last + 1 < len(alike) and alike[last + 1]:
        last += 1
    return first, last + 1


def _part(side: Timeline, first: int, end: int) -> tuple[Timeline, float]:
    """Instants first..end of a time axis that begins at 0, and their start in seconds."""
    borders = np.concatenate([[0.0], np.cumsum(side.spans_s)])
    start_s = float(borders[first])
    return Timeline.of(side.times_s[first:end] - start_s, float(borders[end]) - start_s), start_s


def _better(
    segments: Sequence[Segment], shot: _Shot, *, max_speed: float, min_segment_s: float
) -> list[Segment] | None:
    """Segments of the shot that agree clearly better; None if none do."""
    found = [
        one for one in _chain(shot, max_speed=max_speed) if _length_s(one) >= min_segment_s * 0.8
    ]
    gained = _gathered(found, shot) - _gathered([shot.of(one) for one in segments], shot)
    if gained < MIN_GAIN * shot.query.duration_s:
        return None
    if covered_s(found) < MIN_COVERED * covered_s(segments):
        return None
    return [moved(one, shot.query_start_s, shot.reference_start_s) for one in found]


def _costs(slopes: Float64Array) -> Float64Array:
    """Seconds of cosine that lines of these slopes cost."""
    speeds = np.maximum(np.abs(slopes), LEAST_SPEED)  # one instant may stand for a whole stretch
    costs: Float64Array = SWITCH_S + UNUSUAL_S * np.abs(np.log2(speeds))
    return costs


def _gathered(segments: Sequence[Segment], shot: _Shot) -> float:
    """Seconds of cosine along the segments, less what their lines cost."""
    total = 0.0
    for one in segments:
        line = line_of(one)
        rows = np.flatnonzero(_inside(shot.query, one.query_start_s, one.query_end_s))
        values = _between(shot, rows, line.at(shot.query.times_s[rows]))
        total += float(values @ shot.query.spans_s[rows]) - float(_costs(np.array([line.slope]))[0])
    return total


def _between(shot: _Shot, rows: IndexArray, positions_s: Float64Array) -> Float64Array:
    """Cosines at rows [n] and positions [n], linear between instants."""
    times_s = shot.reference.times_s
    place = np.interp(positions_s, times_s, np.arange(len(times_s)))
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, len(times_s) - 1)
    share = place - low
    values: Float64Array = (
        shot.cosines[rows, low] * (1 - share) + shot.cosines[rows, high] * share
    ).astype(np.float64)
    return values


def _chain(shot: _Shot, *, max_speed: float) -> list[Segment]:
    """The chain of lines that gathers most, as segments in times of the shot."""
    slopes, offsets = _lines(shot, max_speed)
    stretches = _best_chain(shot, slopes, offsets)
    return [_segment(shot, slopes[at], offsets[at], first, last) for at, first, last in stretches]


def _lines(shot: _Shot, max_speed: float) -> tuple[Float64Array, Float64Array]:
    """Slopes and offsets of all lines that meet the shot, half a step of the reference apart."""
    step_s = shot.reference.step_s / 2
    first_s, last_s = shot.query.times_s[[0, -1]]
    slopes, offsets = [], []
    for slope in slopes_between(LEAST_SPEED, max_speed, spacing=SPACING).tolist():
        ends_s = slope * first_s, slope * last_s
        some = np.arange(-max(ends_s), shot.reference.duration_s - min(ends_s) + step_s, step_s)
        offsets.append(some)
        slopes.append(np.full(len(some), slope))
    return np.concatenate(slopes), np.concatenate(offsets)


def _best_chain(
    shot: _Shot, slopes: Float64Array, offsets: Float64Array
) -> list[tuple[int, int, int]]:
    """(line, first row, last row) of the chain that gathers most, by Viterbi's algorithm.

    State 0 is on no line: it costs and gathers nothing.
    """
    costs = np.concatenate([[0.0], _costs(slopes)])
    scores = -costs
    origins = np.full((len(shot.query.times_s), len(costs)), -1, dtype=np.int32)
    slack_s = shot.reference.step_s / 2
    for row, (at_s, span_s) in enumerate(
        zip(shot.query.times_s.tolist(), shot.query.spans_s.tolist(), strict=True)
    ):
        if row:
            best = int(scores.argmax())
            fresh = scores[best] - costs
            origins[row] = np.where(fresh > scores, best, -1)
            scores = np.maximum(scores, fresh)
        positions_s = slopes * at_s + offsets
        outside = (positions_s < -slack_s) | (positions_s > shot.reference.duration_s + slack_s)
        values = _between(shot, np.full(len(slopes), row), positions_s)
        scores[1:] += np.where(outside, -1.0, values) * span_s
    return [*_traced(origins, int(scores.argmax()))][::-1]


def _traced(origins: NDArray[np.int32], state: int) -> Iterator[tuple[int, int, int]]:
    """(line, first row, last row), from the last state backwards."""
    last = len(origins) - 1
    for row in range(last, -1, -1):
        if row and origins[row, state] < 0:
            continue
        if state:
            yield state - 1, row, last
        state, last = int(origins[row, state]), row - 1


def _segment(shot: _Shot, slope: float, offset_s: float, first: int, last: int) -> Segment:
    """Rows first..last of a line, after a last correction of its ends."""
    line = polish_line(
        Line(slope=float(slope), offset_s=float(offset_s)),
        first,
        last,
        shot.cosines,
        shot.query,
        shot.reference,
    )
    start_s, at_start_s = stretch_end(line, first, first - 1, shot.query, shot.reference)
    end_s, at_end_s = stretch_end(line, last, last + 1, shot.query, shot.reference)
    low_s, high_s = sorted((at_start_s, at_end_s))
    return Segment(
        query_start_s=start_s,
        query_end_s=end_s,
        reference_start_s=low_s,
        reference_end_s=high_s,
        similarity=0.0,
        reversed=bool(line.slope < 0),
    )


def _with_similarity(segment: Segment, pair: PairMatrix) -> Segment:
    """The segment with its mean similarity in the matrix of the whole videos."""
    reference = Timeline.of(pair.reference_times_s, float(pair.reference_times_s[-1]))
    inside = (pair.query_times_s >= segment.query_start_s - 1e-6) & (
        pair.query_times_s <= segment.query_end_s + 1e-6
    )
    rows = np.flatnonzero(inside)
    positions_s = line_of(segment).at(pair.query_times_s[rows])
    values = read_line(pair.similarity, rows, positions_s, reference)[0]
    similarity = float(np.clip(values.mean(), 0.0, 1.0)) if len(values) else 0.0
    return replace(segment, similarity=similarity)
