"""Alignment: from a frame-to-frame similarity matrix to the segments that two videos share.

A greedy search. Lines are proposed by a Hough transform over the peaks of the matrix
(dubl.matching.lines). Each line is read along the matrix and cut to the interval with the greatest
sum of support. The best segment is taken, its rectangle is closed, and the search goes on.

The greatest sum follows Tan et al. (2009) and VCSL's "HV" (He et al., 2022). In addition, speed is
free, copies may be reversed, frame times may be uneven, and ends are finer than a sampling step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubl.matching.lines import (
    fit_line,
    polish_line,
    slope_prior,
    slopes_between,
    strongest_lines,
)
from dubl.matching.peaks import Matrix, Peaks, distinctiveness, find_peaks, votes
from dubl.matching.profile import (
    Background,
    LineProfile,
    read_profile,
    standout_of_rows,
    supported_stretches,
)
from dubl.matching.repetition import repetitions
from dubl.matching.segments import is_echo, merge_collinear
from dubl.matching.timeline import Line, Timeline, stretch_end
from dubl.types import Float64Array, Segment

PEAK_REACH = 0.15  # similarity below the best cell of a row or column; chosen
BLANK_PRIOR = 0.15  # factor on the score of featureless rows at another speed than 1; chosen
ENOUGH_SEGMENTS = 8  # segments that are found however long the videos are; chosen
# Rejected finds after which the search ends; behind ENOUGH_SEGMENTS only those in a row; chosen.
MAX_ECHOES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignmentOptions:
    """Parameters of the search. `floor` and `level` come from calibration.json, the segment limits
    from settings; the rest are chosen.

    max_segments: segments of one pair; min_segment_s: seconds of the shorter side.
    min_speed, max_speed: reference seconds per query second.
    floor: least similarity of two frames that count as similar.
    level: least mean similarity of a segment without contrast to its surroundings (a still
    picture). One unit of contrast lowers it by `contrast_gain`.
    sharpness: similarity difference that matters between neighboring frames.
    max_gap_s: seconds of disagreement inside one segment.
    max_peaks: cells kept for the line search; max_lines: lines examined in each round.
    max_examined: cells and rows of lines read in all rounds, after which a search that has found
    ENOUGH_SEGMENTS ends; bounds the time for long videos.
    """

    max_segments: int = 200
    min_segment_s: float = 1.0
    min_speed: float = 0.25
    max_speed: float = 4.0
    floor: float = 0.3
    level: float = 0.85
    contrast_gain: float = 3.0
    sharpness: float = 0.18
    max_gap_s: float = 2.0
    max_peaks: int = 200_000
    max_lines: int = 12
    max_examined: int = 3_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Aligned:
    """Segments that two videos share, best first, repetitions last; empty when there is none.

    truncated: the search ended before everything was found.
    """

    segments: tuple[Segment, ...] = ()
    truncated: bool = False


def align(
    similarity: Matrix,
    query_times_s: Float64Array,
    reference_times_s: Float64Array,
    *,
    query_duration_s: float,
    reference_duration_s: float,
    options: AlignmentOptions,
) -> Aligned:
    """All shared segments in `similarity` [T,U].

    Times are ascending seconds, [T] and [U]. Raises ValueError if shapes and times disagree.
    """
    if similarity.shape != (len(query_times_s), len(reference_times_s)):
        times = (len(query_times_s), len(reference_times_s))
        raise ValueError(f"similarity has shape {similarity.shape}, frame times have {times}")
    if 0 in similarity.shape:
        return Aligned()
    search = _Search(
        similarity=similarity,
        query=Timeline.of(query_times_s, query_duration_s),
        reference=Timeline.of(reference_times_s, reference_duration_s),
        options=options,
    )
    return search.run()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stretch:
    """Rows first..last (inclusive) of one line, with a score in weighted seconds."""

    line: Line
    first: int
    last: int
    score: float
    similarity: float


class _Search:
    """The greedy search over one matrix. Each round adds one segment to `taken`."""

    def __init__(
        self, similarity: Matrix, query: Timeline, reference: Timeline, options: AlignmentOptions
    ) -> None:
        self.similarity = similarity
        self.query = query
        self.reference = reference
        self.options = options
        self.background = Background.of(similarity)
        self.taken: list[Segment] = []
        self.min_length_s = min(
            options.min_segment_s, 0.8 * query.duration_s, 0.8 * reference.duration_s
        )
        shorter_s = min(query.duration_s, reference.duration_s)
        spacing = float(np.clip(2 * reference.step_s / shorter_s, 0.03, 0.12))
        self.slopes = slopes_between(options.min_speed, options.max_speed, spacing=spacing)

    def run(self) -> Aligned:
        truncated = self._search()
        segments = merge_collinear(self.taken, max_gap_s=self.options.max_gap_s)
        segments.sort(key=_rank)
        for one in repetitions(segments, self.similarity, self.query, self.reference):
            if len(segments) == self.options.max_segments:
                truncated = True
                break
            segments.append(one)
        return Aligned(segments=tuple(segments), truncated=truncated)

    def _search(self) -> bool:
        """Fills `taken`; whether a limit ended the search."""
        options = self.options
        peaks = find_peaks(
            self.similarity, floor=options.floor, reach=PEAK_REACH, limit=options.max_peaks
        )
        echoes = examined = 0
        while echoes < MAX_ECHOES:
            examined += len(peaks.rows) + 2 * options.max_lines * len(self.query.times_s)
            enough = len(self.taken) >= ENOUGH_SEGMENTS and examined > options.max_examined
            if enough or len(self.taken) == options.max_segments:
                return self._is_more(peaks)
            best = self._best_stretch(peaks)
            if best is None:
                break
            segment = _segment(best, self.query, self.reference)
            if is_echo(segment, self.taken):
                echoes += 1
            else:
                self.taken.append(segment)
                echoes = 0 if len(self.taken) > ENOUGH_SEGMENTS else echoes
            peaks = peaks.where(~_inside(segment, peaks, self.query, self.reference))
        return False

    def _is_more(self, peaks: Peaks) -> bool:
        best = self._best_stretch(peaks)
        return best is not None and not is_echo(
            _segment(best, self.query, self.reference), self.taken
        )

    def _best_stretch(self, peaks: Peaks) -> _Stretch | None:
        if not len(peaks.rows):
            return None
        weights = votes(peaks, self.similarity.shape, sharpness=self.options.sharpness)
        telling = distinctiveness(
            peaks,
            weights,
            rows=len(self.query.times_s),
            column_spans_s=self.reference.spans_s,
            width_s=min(4 * self.reference.step_s, self.reference.duration_s / 8),
        )
        told = weights * telling[peaks.rows] * self.query.spans_s[peaks.rows]
        lines = strongest_lines(
            peaks,
            told,
            self.query,
            self.reference,
            slopes=self.slopes,
            count=self.options.max_lines,
        )
        stretches = [
            stretch
            for line in lines
            for fitted in fit_line(line, peaks, told, self.query, self.reference)
            for stretch in self._stretches(fitted, peaks, weights, telling)
        ]
        best = max(stretches, key=lambda stretch: stretch.score, default=None)
        return None if best is None else self._polished(best, peaks, weights, telling)

    def _polished(
        self, best: _Stretch, peaks: Peaks, weights: Float64Array, telling: Float64Array
    ) -> _Stretch:
        """The stretch again, on its polished line."""
        line = polish_line(
            best.line, best.first, best.last, self.similarity, self.query, self.reference
        )
        corrected = self._stretches(line, peaks, weights, telling)
        near = [one for one in corrected if one.first <= best.last and one.last >= best.first]
        return max(near, key=lambda stretch: stretch.score, default=best)

    def _stretches(
        self, line: Line, peaks: Peaks, weights: Float64Array, telling: Float64Array
    ) -> list[_Stretch]:
        """The stretches of one line that pass all limits."""
        options = self.options
        if not options.min_speed * 0.98 <= abs(line.slope) <= options.max_speed * 1.02:
            return []
        profile = read_profile(
            line,
            self.similarity,
            self.background,
            standout_of_rows(line, peaks, weights, self.query, self.reference),
            self.query,
            self.reference,
            margin=options.sharpness,
        )
        support = self._beside_taken(line, profile, telling)
        found = supported_stretches(support, self.query.spans_s, max_gap_s=options.max_gap_s)
        stretches = [
            self._stretch(line, first, last, profile, support, telling) for first, last in found
        ]
        return [stretch for stretch in stretches if stretch.score > 0]

    def _stretch(
        self,
        line: Line,
        first: int,
        last: int,
        profile: LineProfile,
        support: Float64Array,
        telling: Float64Array,
    ) -> _Stretch:
        """Scores rows first..last; the score is 0 if they fail a limit."""
        rows = slice(first, last + 1)
        spans = self.query.spans_s[rows]
        mean = float(spans @ profile.similarity[rows] / spans.sum())
        contrast = float(spans @ profile.contrast[rows] / spans.sum())
        length_s = spans.sum() * min(1.0, abs(line.slope))
        options = self.options
        refused = (
            mean < options.floor
            or mean + options.contrast_gain * contrast < options.level
            or length_s < self.min_length_s
        )
        # In featureless rows any other speed fits as well by chance.
        blank = 1.0 if abs(line.slope - 1.0) < 0.02 else BLANK_PRIOR
        shares = telling[rows] + (1.0 - telling[rows]) * blank
        score = float((support[rows] * spans) @ shares) * slope_prior(line.slope)
        similarity = float(np.clip(mean, 0.0, 1.0))
        return _Stretch(
            line=line,
            first=first,
            last=last,
            score=0.0 if refused else score,
            similarity=similarity,
        )

    def _beside_taken(
        self, line: Line, profile: LineProfile, telling: Float64Array
    ) -> Float64Array:
        """The support [T] after closing the rectangles of earlier segments.

        A second stretch over the same seconds of one side keeps only its distinctive rows.
        """
        support = profile.support
        positions = line.at(self.query.times_s)
        for segment in self.taken:
            in_rows = _within(self.query.times_s, segment.query_start_s, segment.query_end_s)
            in_columns = _within(positions, segment.reference_start_s, segment.reference_end_s)
            support = np.where(
                in_rows | in_columns, np.minimum(support, 2 * telling - 1.0), support
            )
            support = np.where(in_rows & in_columns, -1.0, support)
        return support


def _rank(segment: Segment) -> float:
    return -segment.similarity * (segment.query_end_s - segment.query_start_s)


def _within(seconds: Float64Array, start: float, end: float) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = (seconds >= start) & (seconds <= end)
    return inside


def _inside(
    segment: Segment, peaks: Peaks, query: Timeline, reference: Timeline
) -> NDArray[np.bool_]:
    """Whether each peak lies in the rectangle of the segment, [P]."""
    rows = _within(query.times_s, segment.query_start_s, segment.query_end_s)
    columns = _within(reference.times_s, segment.reference_start_s, segment.reference_end_s)
    inside: NDArray[np.bool_] = rows[peaks.rows] & columns[peaks.columns]
    return inside


def _segment(stretch: _Stretch, query: Timeline, reference: Timeline) -> Segment:
    """The stretch in seconds."""
    start, at_start = stretch_end(stretch.line, stretch.first, stretch.first - 1, query, reference)
    end, at_end = stretch_end(stretch.line, stretch.last, stretch.last + 1, query, reference)
    low, high = sorted((at_start, at_end))
    return Segment(
        query_start_s=start,
        query_end_s=end,
        reference_start_s=low,
        reference_end_s=high,
        similarity=stretch.similarity,
        reversed=bool(stretch.line.slope < 0),
    )
