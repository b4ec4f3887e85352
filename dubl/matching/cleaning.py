"""Common stretches found in a cleaned matrix, told in the similarities of the one that was seen.

Cleaning helps to tell where a copy runs. How alike it is, is a question to the frames themselves,
and calibrations read the answer.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dubl.matching.alignment import AlignmentOptions, align
from dubl.matching.evidence import line_of
from dubl.matching.matrix import PairMatrix
from dubl.matching.profile import read_line
from dubl.matching.timeline import Timeline
from dubl.ports import MatrixCleaner
from dubl.types import Segment


def aligned(
    matrix: PairMatrix,
    cleaner: MatrixCleaner | None,
    *,
    query_duration_s: float,
    reference_duration_s: float,
    options: AlignmentOptions,
) -> tuple[Segment, ...]:
    """All common stretches, best first; without a cleaner, those of the matrix as it is."""
    seen = matrix.similarity if cleaner is None else cleaner.clean(matrix.similarity)
    segments = align(
        seen,
        matrix.query_times_s,
        matrix.reference_times_s,
        query_duration_s=query_duration_s,
        reference_duration_s=reference_duration_s,
        options=options,
    )
    if cleaner is None:
        return segments
    reference = Timeline.of(matrix.reference_times_s, reference_duration_s)
    return tuple(
        replace(one, similarity=similarity_along(one, matrix, reference)) for one in segments
    )


def similarity_along(segment: Segment, matrix: PairMatrix, reference: Timeline) -> float:
    """Mean similarity of the segment's query instants to what they copy, in [0,1]."""
    times = matrix.query_times_s
    inside = (times >= segment.query_start_s - 1e-6) & (times <= segment.query_end_s + 1e-6)
    if not inside.any():
        return segment.similarity
    rows = np.flatnonzero(inside)
    values, _ = read_line(matrix.similarity[rows], line_of(segment).at(times[rows]), reference)
    return float(np.clip(values.mean(), 0.0, 1.0))
