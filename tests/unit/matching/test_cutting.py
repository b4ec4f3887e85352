"""What is excluded is cut out of segments, on both sides alike."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dubl.matching.segments import covered_s, cut_query, cut_reference
from dubl.types import Segment

SEGMENT = Segment(
    query_start_s=0.0,
    query_end_s=20.0,
    reference_start_s=100.0,
    reference_end_s=140.0,
    similarity=0.9,
)


def times(segment: Segment) -> tuple[float, ...]:
    return (
        segment.query_start_s,
        segment.query_end_s,
        segment.reference_start_s,
        segment.reference_end_s,
    )


def test_a_segment_wholly_inside_is_gone() -> None:
    assert cut_reference([SEGMENT], [(90.0, 141.0)], min_segment_s=1.0) == []


def test_a_segment_outside_stays_the_very_same() -> None:
    assert cut_reference([SEGMENT], [(0.0, 100.0), (140.0, 200.0)], min_segment_s=1.0) == [SEGMENT]


def test_a_span_in_the_middle_leaves_two_pieces() -> None:
    first, second = cut_reference([SEGMENT], [(110.0, 120.0)], min_segment_s=1.0)
    assert times(first) == pytest.approx((0, 5, 100, 110))
    assert times(second) == pytest.approx((10, 20, 120, 140))


def test_a_reversed_segment_loses_its_other_end() -> None:
    backwards = replace(SEGMENT, reversed=True)
    (left,) = cut_reference([backwards], [(100.0, 110.0)], min_segment_s=1.0)
    assert times(left) == pytest.approx((0, 15, 110, 140))
    (left,) = cut_query([backwards], [(0.0, 5.0)], min_segment_s=1.0)
    assert times(left) == pytest.approx((5, 20, 100, 130))


def test_crumbs_are_swept_away() -> None:
    assert cut_reference([SEGMENT], [(101.0, 139.0)], min_segment_s=1.0) == []


def test_spans_that_overlap_cut_once() -> None:
    (left,) = cut_query([SEGMENT], [(-5.0, 8.0), (2.0, 4.0), (6.0, 10.0)], min_segment_s=1.0)
    assert times(left) == pytest.approx((10, 20, 120, 140))


def test_seconds_that_two_segments_share_are_covered_once() -> None:
    later = replace(SEGMENT, query_start_s=15.0, query_end_s=30.0)
    assert covered_s([later, SEGMENT]) == 30.0
    assert covered_s([]) == 0.0
