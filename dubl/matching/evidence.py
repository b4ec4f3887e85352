"""Scalars that speak for or against a segment, read from the similarity matrix."""

from __future__ import annotations

import math

import numpy as np

from dubl.matching.calibration import Evidence
from dubl.matching.matrix import PairMatrix
from dubl.matching.profile import Background, read_line
from dubl.matching.timeline import Line, Timeline
from dubl.types import Segment


def gather_evidence(
    segment: Segment,
    matrix: PairMatrix,
    *,
    query_duration_s: float,
    reference_duration_s: float,
) -> Evidence:
    """Evidence of one segment of `matrix`."""
    query = Timeline.of(matrix.query_times_s, query_duration_s)
    reference = Timeline.of(matrix.reference_times_s, reference_duration_s)
    times = query.times_s
    rows = np.flatnonzero((times >= segment.query_start_s) & (times <= segment.query_end_s))
    if not len(rows):
        rows = np.array([np.abs(times - segment.query_start_s).argmin()])
    block = matrix.similarity[rows]
    positions = line_of(segment).at(times[rows])
    values, columns = read_line(block, positions, reference)
    background = Background.of(matrix.similarity)
    around = np.maximum(background.rows[rows], background.columns[columns])
    best_s = reference.times_s[block.argmax(axis=1)]
    agrees = np.abs(best_s - positions) <= 1.5 * reference.step_s
    return Evidence(
        similarity=float(np.clip(values.mean(), 0.0, 1.0)),
        contrast=float((values - around).mean()),
        agreement=float(agrees.mean()),
        log_duration=math.log1p(segment.query_end_s - segment.query_start_s),
    )


def line_of(segment: Segment) -> Line:
    """The line through the segment's ends."""
    slope = -segment.speed if segment.reversed else segment.speed
    start_s = segment.reference_end_s if segment.reversed else segment.reference_start_s
    return Line(slope=slope, offset_s=start_s - slope * segment.query_start_s)
