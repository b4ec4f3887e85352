"""Segments that two sounds share, from the similarity of their windows.

Lines through the similar windows are found as for pictures (dubl.matching.lines). Each is read
window by window; the stretch with the greatest sum of evidence is a segment.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from dubl.matching.lines import fit_line, slopes_between, strongest_lines
from dubl.matching.peaks import find_peaks, votes
from dubl.matching.timeline import Line, Timeline
from dubl.types import Float16Array, Float32Array, Float64Array, SoundFeatures, SoundSegment

# Chosen, unless said otherwise.
MIN_SPEED, MAX_SPEED = 0.7, 1.45  # reference seconds per query second
FLOOR = 0.35  # least cosine of windows that may lie on a line
REACH = 0.25  # cosine below the best of a row or column
SHARPNESS = 0.1  # cosine difference that matters between windows
MAX_PEAKS = 50_000  # bounds the time
MAX_LINES = 8
MAX_SEGMENTS = 50  # of one pair
CHANCE = 0.5  # cosine of a window on a line that is no evidence; measured on strangers
REACH_S = 0.35  # seconds from a line within which a window of the reference counts
MAX_GAP = 4.0  # evidence that is lost before a segment ends
MIN_EVIDENCE = 0.2  # sum of (cosine - CHANCE) of a segment that is worth reporting
# A voice is like itself everywhere: the cosine that a tenth of all pairs of windows exceeds is no
# evidence, up to MAX_USUAL above CHANCE, as songs repeat themselves, too.
USUAL_SHARE, MAX_USUAL = 0.9, 0.15
MAX_WINDOWS = 256  # of a side, that it is measured on; bounds the time
# Of the likelihood, a logistic curve of the evidence that is left. Fitted: 225 pairs of 12 to 90 s
# of one voice reach 1.2, 99 % of them .8 (docs/lab/sound.md).
MIDDLE, WIDTH = 1.3, 0.15


def align(query: SoundFeatures, reference: SoundFeatures) -> tuple[SoundSegment, ...]:
    """Segments that both share, best first; none if a side has no windows.

    Raises ValueError if the sides were described in different spaces.
    """
    if query.spec.space_id != reference.spec.space_id:
        raise ValueError("descriptors of two spaces cannot be compared")
    if not len(query.times_s) or not len(reference.times_s):
        return ()
    left, right = (one.descriptors.astype(np.float32) for one in (query, reference))
    similarity = left @ right.T
    found: list[SoundSegment] = []
    while len(found) < MAX_SEGMENTS:
        best = _best(similarity, query, reference)
        if best is None:
            break
        found.append(best)
        _close(similarity, best, query)
    return tuple(sorted(found, key=lambda one: -one.likelihood))


def _best(
    similarity: Float32Array, query: SoundFeatures, reference: SoundFeatures
) -> SoundSegment | None:
    if float(np.maximum(similarity.max(axis=1) - CHANCE, 0).sum()) < MIN_EVIDENCE:
        return None  # no line can have more
    peaks = find_peaks(similarity, floor=FLOOR, reach=REACH, limit=MAX_PEAKS)
    if not len(peaks.rows):
        return None
    weights = votes(peaks, similarity.shape, sharpness=SHARPNESS)
    ours = Timeline.of(query.times_s, query.duration_s)
    theirs = Timeline.of(reference.times_s, reference.duration_s)
    lines = strongest_lines(
        peaks,
        weights,
        ours,
        theirs,
        slopes=_SPEEDS,
        count=MAX_LINES,
    )
    fitted = [
        one for line in lines for one in (line, *fit_line(line, peaks, weights, ours, theirs))
    ]
    likely = [one for one in fitted if MIN_SPEED <= one.slope <= MAX_SPEED]
    stretches = (_stretch(one, similarity, query, reference) for one in likely)
    read = [one for one in stretches if one is not None]
    best = max(read, key=lambda one: one.evidence, default=None)
    if best is None or best.evidence < MIN_EVIDENCE:
        return None
    left = best.evidence - _usual(best, query, reference) * best.windows
    likelihood = 1 / (1 + math.exp(min(50.0, (MIDDLE - left) / WIDTH)))
    return replace(best.segment, likelihood=likelihood)


_SPEEDS = slopes_between(MIN_SPEED, MAX_SPEED, spacing=0.04)
_SPEEDS = _SPEEDS[_SPEEDS > 0]  # sound that runs backwards is not looked for


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stretch:
    """The best stretch of a line. evidence: sum of (cosine - CHANCE) of its windows,
    which are `rows` of the query."""

    line: Line
    evidence: float
    rows: slice
    segment: SoundSegment  # its likelihood is open

    @property
    def windows(self) -> int:
        return int(self.rows.stop - self.rows.start)


def _usual(best: _Stretch, query: SoundFeatures, reference: SoundFeatures) -> float:
    """Cosine above CHANCE that windows of the segment have to many of the other side."""
    at_s = reference.times_s
    columns = (at_s >= best.segment.reference_start_s) & (at_s < best.segment.reference_end_s)
    ours, theirs = query.descriptors[best.rows], reference.descriptors[columns]
    pairs = [(ours, reference.descriptors), (query.descriptors, theirs)]
    highest = max(
        np.quantile(_thinned(left) @ _thinned(right).T, USUAL_SHARE)
        for left, right in pairs
        if len(left) and len(right)
    )
    return min(max(float(highest) - CHANCE, 0.0), MAX_USUAL)


def _thinned(windows: Float16Array) -> Float32Array:
    return windows[:: -(-len(windows) // MAX_WINDOWS)].astype(np.float32)


def _stretch(
    line: Line, similarity: Float32Array, query: SoundFeatures, reference: SoundFeatures
) -> _Stretch | None:
    cosines = _along(line, similarity, query, reference)
    gains = np.maximum(cosines - CHANCE, -CHANCE)
    first, last = _greatest_sum(gains)
    # Windows overlap: each adds its step, so that a finer step does not count more.
    evidence = float(gains[first : last + 1].sum())
    if last < first:
        return None
    window_s = query.spec.window_s
    start, end = float(query.times_s[first]), float(query.times_s[last]) + window_s
    low, high = _within(line, start, end, window_s, reference.duration_s)
    segment = SoundSegment(
        query_start_s=low,
        query_end_s=high,
        reference_start_s=max(0.0, _at(line, low, window_s)),
        reference_end_s=min(reference.duration_s, _at(line, high, window_s)),
        similarity=float(cosines[first : last + 1].mean()),
        likelihood=0.0,
    )
    return _Stretch(line=line, evidence=evidence, rows=slice(first, last + 1), segment=segment)


def _at(line: Line, second: float, window_s: float) -> float:
    """The reference's second. Lines join starts of windows; their middles are what agrees."""
    half = window_s / 2
    return line.slope * (second - half) + line.offset_s + half


def _within(
    line: Line, start: float, end: float, window_s: float, duration_s: float
) -> tuple[float, float]:
    """The part of the query's stretch that lies inside the reference."""
    half = window_s / 2
    ends = [(at - half - line.offset_s) / line.slope + half for at in (0.0, duration_s)]
    low = max(start, ends[0])
    return low, max(low, min(end, ends[1]))


def _along(
    line: Line, similarity: Float32Array, query: SoundFeatures, reference: SoundFeatures
) -> Float64Array:
    """The best cosine near the line for each row [M]; 0 where the reference has no window."""
    wanted = line.at(query.times_s)
    low = np.searchsorted(reference.times_s, wanted - REACH_S)
    high = np.searchsorted(reference.times_s, wanted + REACH_S, side="right")
    found = np.zeros(len(wanted))
    for step in range(int((high - low).max(initial=0))):
        inside = low + step < high
        rows = np.flatnonzero(inside)
        found[rows] = np.maximum(found[rows], similarity[rows, low[rows] + step])
    return found


def _greatest_sum(gains: Float64Array) -> tuple[int, int]:
    """First and last row of the run with the greatest sum, without a loss above MAX_GAP inside."""
    best, chosen, total, first = 0.0, (0, -1), 0.0, 0
    highest = 0.0
    for row, gain in enumerate(gains.tolist()):
        total += gain
        highest = max(highest, total)
        if total <= 0 or highest - total > MAX_GAP:
            total, highest, first = 0.0, 0.0, row + 1
        elif total > best:
            best, chosen = total, (first, row)
    return chosen


def _close(similarity: Float32Array, segment: SoundSegment, query: SoundFeatures) -> None:
    """Takes the segment's windows out, on the query's side: each has one place."""
    half = query.spec.window_s / 2
    middles = query.times_s + half
    inside = (middles >= segment.query_start_s) & (middles <= segment.query_end_s)
    similarity[inside] = 0.0
