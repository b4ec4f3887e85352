"""Signals tells copies from look-alikes."""

from dataclasses import replace

import numpy as np
import pytest

from dubl.matching.signals import MAX_FRAMES, measure_signals, spans
from dubl.types import Segment, VideoFeatures
from tests.unit.matching.features import MeanComparator, video
from tests.unit.matching.footage import Film, film

WHOLE = Segment(
    query_start_s=0.0,
    query_end_s=20.0,
    reference_start_s=0.0,
    reference_end_s=20.0,
    similarity=0.9,
)


def in_room(seed: int) -> Film:
    room, actor = film(9, shot_s=1e4, drift=0.0), film(seed, shot_s=1e4, drift=1.0)
    return lambda times: room(times) * 3.0 + actor(times)


def motion(segment: Segment, query: VideoFeatures, reference: VideoFeatures) -> float:
    return measure_signals(segment, query, reference).motion


def test_a_copy_moves_as_its_original_does() -> None:
    query = video(in_room(1), 20.0, rate_hz=2.0, noise=0.1)
    assert motion(WHOLE, query, video(in_room(1), 20.0)) > 0.6


def test_another_take_in_the_same_room_does_not() -> None:
    query = video(in_room(1), 20.0, rate_hz=2.0, noise=0.1)
    assert motion(WHOLE, query, video(in_room(2), 20.0)) < 0.3


def test_backwards_motion_is_compared_backwards() -> None:
    forwards = in_room(1)
    query = video(lambda times: forwards(20.0 - times), 20.0, rate_hz=2.0)
    backwards = replace(WHOLE, reversed=True)
    assert motion(backwards, query, video(forwards, 20.0)) > 0.6


def test_a_part_seen_for_a_moment_does_not_stand_for_the_segment() -> None:
    query, reference = video(in_room(1), 20.0, rate_hz=2.0, noise=0.3), video(in_room(1), 20.0)
    moment = video(in_room(1), 20.0, times=query.timestamps_s[:2])
    both = replace(
        query,
        descriptors=np.concatenate([query.descriptors, moment.descriptors]),
        region_features=np.concatenate([query.region_features, moment.region_features]),
        timestamps_s=np.concatenate([query.timestamps_s, moment.timestamps_s]),
        views=np.concatenate([query.views, moment.views + np.uint8(1)]),
    )
    whole = motion(WHOLE, query, reference)
    assert motion(WHOLE, both, reference) == pytest.approx(whole)


def test_a_single_frame_proves_no_motion() -> None:
    clip = video(film(1), 20.0)
    short = replace(WHOLE, query_end_s=0.4, reference_end_s=0.4)
    assert motion(short, clip, clip) == 0.0


@pytest.mark.parametrize(
    ("seconds", "edge"),
    [
        ((0, 8, 0, 8), True),
        ((52, 60, 72, 80), True),
        ((0, 8, 30, 38), False),
        ((20, 28, 30, 38), False),
        ((0, 58, 0, 58), False),
        ((0, 28, 0, 28), False),  # 35 % of the reference
        ((0, 4.5, 0, 4.5), True),
    ],
)
def test_what_begins_or_ends_both_videos_may_be_a_shared_intro(
    seconds: tuple[float, float, float, float], edge: bool
) -> None:
    query, reference = video(film(1), 60.0), video(film(1), 80.0)
    start, end, reference_start, reference_end = seconds
    segment = Segment(
        query_start_s=start,
        query_end_s=end,
        reference_start_s=reference_start,
        reference_end_s=reference_end,
        similarity=0.9,
    )
    assert measure_signals(segment, query, reference, MeanComparator()).shared_edge is edge


@pytest.mark.parametrize(("seconds", "edge"), [(90.0, True), (150.0, False)])
def test_an_intro_is_at_most_two_minutes_long(seconds: float, edge: bool) -> None:
    query, reference = video(film(1), 400.0), video(film(1), 600.0)
    segment = replace(WHOLE, query_end_s=seconds, reference_end_s=seconds)
    assert measure_signals(segment, query, reference, MeanComparator()).shared_edge is edge


def test_most_of_a_short_reference_may_be_its_intro() -> None:
    query, reference = video(film(1), 20.0), video(film(1), 8.0)
    segment = replace(WHOLE, query_end_s=4.5, reference_end_s=4.5)
    assert measure_signals(segment, query, reference, MeanComparator()).shared_edge


def after_title(seed: int) -> Film:
    """Six seconds of one title, then a take in a room that is half of the picture."""
    title, room, actor = (film(number, shot_s=1e4, drift=0.3) for number in (5, 9, seed))
    return lambda times: np.where(times[:, None] < 6.0, title(times), room(times) + actor(times))


def test_a_title_before_takes_in_one_room_is_an_intro_though_both_are_alike_to_the_end() -> None:
    query, reference = video(after_title(1), 20.0), video(after_title(2), 20.0)
    assert measure_signals(WHOLE, query, reference, MeanComparator()).shared_edge
    original = video(after_title(1), 20.0)
    assert not measure_signals(WHOLE, query, original, MeanComparator()).shared_edge


def test_a_trimmed_copy_of_the_beginning_is_no_intro() -> None:
    query, reference = video(film(1), 20.0), video(film(1), 80.0)
    assert not measure_signals(WHOLE, query, reference, MeanComparator()).shared_edge


def test_the_comparator_sees_only_what_the_segment_spans() -> None:
    query, reference = video(film(1), 60.0, rate_hz=2.0), video(film(1), 80.0)
    segment = replace(WHOLE, query_start_s=10.0, query_end_s=15.0, reference_end_s=5.0)
    comparator = MeanComparator()
    signals = measure_signals(segment, query, reference, comparator)
    assert comparator.shapes == [(11, 6)]
    assert 0.0 <= signals.comparator <= 1.0


def test_a_reversed_segment_is_shown_to_the_comparator_forwards() -> None:
    forwards = film(1)
    query = video(lambda times: forwards(19.0 - times), 20.0)
    ours, theirs = spans(replace(WHOLE, reversed=True), query, video(forwards, 20.0), (0, 0))
    np.testing.assert_allclose(ours, theirs, atol=2e-3)


def test_long_spans_are_thinned_evenly() -> None:
    clip = video(film(1), 600.0)
    segment = replace(WHOLE, query_end_s=600.0, reference_end_s=600.0)
    ours, theirs = spans(segment, clip, clip, (0, 0))
    assert len(ours) == len(theirs) <= MAX_FRAMES
    np.testing.assert_array_equal(ours[1], clip.region_features[5])


def test_of_several_views_the_most_alike_counts() -> None:
    query = video(film(1), 20.0)
    stranger = video(film(2), 20.0)
    both = replace(
        query,
        descriptors=np.concatenate([stranger.descriptors, query.descriptors]),
        region_features=np.concatenate([stranger.region_features, query.region_features]),
        timestamps_s=np.concatenate([query.timestamps_s] * 2),
        views=np.repeat([0, 1], len(query.views)).astype(np.uint8),
    )
    comparator = MeanComparator()
    alone = measure_signals(WHOLE, query, query, comparator).comparator
    assert measure_signals(WHOLE, both, query, comparator).comparator == pytest.approx(alone)
