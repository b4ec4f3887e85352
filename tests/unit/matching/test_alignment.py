"""Alignment finds which seconds two videos share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dubl.matching.alignment import ENOUGH_SEGMENTS, Aligned, AlignmentOptions, align
from dubl.matching.segments import covered_s
from dubl.types import Float64Array, Segment
from tests.unit.matching.footage import Film, cosines, film, frame_times, noisy

OPTIONS = AlignmentOptions()


def aligned(
    query: Film,
    query_s: float,
    reference: Film,
    reference_s: float,
    *,
    query_times: Float64Array | None = None,
    reference_times: Float64Array | None = None,
    options: AlignmentOptions = OPTIONS,
) -> tuple[Segment, ...]:
    return everything(
        query,
        query_s,
        reference,
        reference_s,
        query_times=query_times,
        reference_times=reference_times,
        options=options,
    ).segments


def everything(
    query: Film,
    query_s: float,
    reference: Film,
    reference_s: float,
    *,
    query_times: Float64Array | None = None,
    reference_times: Float64Array | None = None,
    options: AlignmentOptions = OPTIONS,
) -> Aligned:
    rows = frame_times(query_s, rate_hz=2.0) if query_times is None else query_times
    columns = frame_times(reference_s, rate_hz=1.0) if reference_times is None else reference_times
    return align(
        cosines(noisy(query(rows)), reference(columns)),
        rows,
        columns,
        query_duration_s=query_s,
        reference_duration_s=reference_s,
        options=options,
    )


def piece(source: Film, start_s: float, *, speed: float = 1.0) -> Film:
    return lambda times: source(start_s + speed * times)


def spliced(first: Film, seconds: float, second: Film) -> Film:
    """`first` up to `seconds`, then `second` from its own beginning."""
    return lambda times: np.where(
        (times < seconds)[:, None], first(times), second(np.maximum(times - seconds, 0.0))
    )


def ends(segment: Segment) -> tuple[float, float, float, float]:
    return (
        segment.query_start_s,
        segment.query_end_s,
        segment.reference_start_s,
        segment.reference_end_s,
    )


@pytest.mark.parametrize(
    ("start_s", "length_s"), [(12.3, 20.0), (0.0, 7.5), (30.8, 9.2), (5.5, 2.0), (1.25, 38.0)]
)
def test_a_trimmed_copy_is_found_to_half_a_second(start_s: float, length_s: float) -> None:
    original = film(3)
    (found,) = aligned(piece(original, start_s), length_s, original, 40.0)
    assert ends(found) == pytest.approx((0, length_s, start_s, start_s + length_s), abs=0.5)
    assert not found.reversed


def test_a_whole_copy_covers_both_videos() -> None:
    original = film(4)
    (found,) = aligned(original, 24.0, original, 24.0)
    assert ends(found) == pytest.approx((0, 24, 0, 24), abs=0.1)
    assert found.similarity > 0.8


def test_identical_frames_are_alike_to_one() -> None:
    original, times = film(5), frame_times(20.0, rate_hz=1.0)
    matrix = cosines(original(times), original(times))
    (found,) = align(
        matrix, times, times, query_duration_s=20, reference_duration_s=20, options=OPTIONS
    ).segments
    assert found.similarity == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("speed", [0.5, 0.8, 1.25, 1.5, 2.0])
def test_another_speed_is_followed(speed: float) -> None:
    original = film(6)
    (found,) = aligned(piece(original, 6.0, speed=speed), 16.0, original, 60.0)
    assert found.speed == pytest.approx(speed, rel=0.1)
    assert ends(found) == pytest.approx((0, 16, 6, 6 + 16 * speed), abs=1.0)


def test_a_backwards_copy_says_so() -> None:
    original = film(7)
    (found,) = aligned(piece(original, 31.0, speed=-1.0), 18.0, original, 45.0)
    assert found.reversed
    assert ends(found) == pytest.approx((0, 18, 13, 31), abs=0.6)


def test_a_piece_inside_foreign_footage_is_cut_out() -> None:
    original, host = film(8), film(80)
    query = spliced(host, 7.0, spliced(piece(original, 20.0), 9.0, piece(host, 7.0)))
    (found,) = aligned(query, 26.0, original, 50.0)
    assert ends(found) == pytest.approx((7, 16, 20, 29), abs=0.6)


def test_two_pieces_of_one_reference_are_two_segments() -> None:
    original, host = film(9), film(90)
    query = spliced(piece(original, 40.0), 10.0, spliced(host, 6.0, piece(original, 5.0)))
    found = sorted(aligned(query, 28.0, original, 60.0), key=lambda one: one.query_start_s)
    assert len(found) == 2
    assert ends(found[0]) == pytest.approx((0, 10, 40, 50), abs=0.6)
    assert ends(found[1]) == pytest.approx((16, 28, 5, 17), abs=0.6)


def test_a_piece_left_out_parts_two_segments() -> None:
    original = film(10)
    query = spliced(piece(original, 3.0), 12.0, piece(original, 23.0))
    found = sorted(aligned(query, 26.0, original, 45.0), key=lambda one: one.query_start_s)
    assert len(found) == 2
    assert ends(found[0]) == pytest.approx((0, 12, 3, 15), abs=0.6)
    assert ends(found[1]) == pytest.approx((12, 26, 23, 37), abs=0.6)


def test_footage_repeated_in_the_query_is_found_each_time() -> None:
    original, host = film(11), film(110)
    again = piece(original, 10.0)
    query = spliced(again, 8.0, spliced(host, 5.0, again))
    found = sorted(aligned(query, 21.0, original, 30.0), key=lambda one: one.query_start_s)
    assert [ends(one) for one in found] == [
        pytest.approx((0, 8, 10, 18), abs=0.6),
        pytest.approx((13, 21, 10, 18), abs=0.6),
    ]


def test_a_second_of_disagreement_is_bridged() -> None:
    original, flash = film(12), film(120)

    def query(times: Float64Array) -> Float64Array:
        hidden = ((times >= 9.0) & (times < 10.0))[:, None]
        return np.where(hidden, flash(times), original(times + 4.0))

    (found,) = aligned(query, 20.0, original, 40.0)
    assert ends(found) == pytest.approx((0, 20, 4, 24), abs=0.5)


def test_a_still_picture_is_the_longest_overlap_at_its_own_speed() -> None:
    still = film(13, shot_s=1e4, drift=0.0)
    (found,) = aligned(still, 12.0, still, 30.0)
    assert found.query_end_s - found.query_start_s == pytest.approx(12.0, abs=0.5)
    assert found.speed == pytest.approx(1.0, abs=0.02)
    (shorter,) = aligned(still, 30.0, still, 12.0)
    assert shorter.reference_end_s - shorter.reference_start_s == pytest.approx(12.0, abs=0.5)
    assert shorter.speed == pytest.approx(1.0, abs=0.05)


def test_a_nearly_still_video_keeps_its_diagonal() -> None:
    calm = film(14, shot_s=1e4, drift=0.35)
    rows, columns = frame_times(14.0, rate_hz=2.0), frame_times(40.0, rate_hz=1.0)
    matrix = cosines(noisy(calm(rows + 15.0), noise=0.1), calm(columns))
    assert np.quantile(matrix, 0.1) > 0.6
    found = align(
        matrix, rows, columns, query_duration_s=14, reference_duration_s=40, options=OPTIONS
    ).segments
    assert ends(found[0]) == pytest.approx((0, 14, 15, 29), abs=1.0)


@pytest.mark.parametrize("seed", range(5))
def test_unrelated_videos_share_nothing(seed: int) -> None:
    assert aligned(film(200 + seed), 30.0, film(300 + seed), 60.0) == ()


def test_the_same_scene_without_a_diagonal_is_no_copy() -> None:
    rng = np.random.default_rng(0)
    matrix = (0.6 + rng.normal(size=(40, 30)) * 0.02).astype(np.float32)
    rows, columns = np.arange(40) * 0.5, np.arange(30) * 1.0
    found = align(
        matrix, rows, columns, query_duration_s=20, reference_duration_s=30, options=OPTIONS
    ).segments
    assert found == ()


def test_uneven_frame_times_are_respected() -> None:
    original, rng = film(15), np.random.default_rng(2)
    rows = np.concatenate([[0.0], np.cumsum(rng.uniform(0.1, 1.1, size=40))])
    columns = np.concatenate([[0.0], np.cumsum(rng.uniform(0.3, 1.6, size=50))])
    length_s = float(rows[-1]) + 0.4
    (found,) = aligned(
        piece(original, 9.0),
        length_s,
        original,
        float(columns[-1]) + 1.0,
        query_times=rows,
        reference_times=columns,
    )
    assert ends(found) == pytest.approx((0, length_s, 9, 9 + length_s), abs=0.7)


def test_short_clips_with_dense_frames_are_aligned() -> None:
    original = film(16, shot_s=1e4)
    (found,) = aligned(original, 1.2, original, 1.2)
    assert ends(found) == pytest.approx((0, 1.2, 0, 1.2), abs=0.2)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 12), (12, 1)])
def test_a_single_frame_does_not_break_it(rows: int, columns: int) -> None:
    matrix = np.full((rows, columns), 0.1, dtype=np.float32)
    matrix[rows // 2, columns // 2] = 0.98
    found = align(
        matrix,
        np.arange(rows, dtype=np.float64),
        np.arange(columns, dtype=np.float64),
        query_duration_s=rows,
        reference_duration_s=columns,
        options=OPTIONS,
    ).segments
    assert len(found) <= 1
    for one in found:
        assert 0 <= one.query_start_s < one.query_end_s <= rows
        assert 0 <= one.reference_start_s < one.reference_end_s <= columns


def test_no_frames_share_nothing() -> None:
    empty = np.zeros(0)
    found = align(
        np.zeros((0, 4), dtype=np.float32),
        empty,
        np.arange(4.0),
        query_duration_s=1,
        reference_duration_s=4,
        options=OPTIONS,
    ).segments
    assert found == ()


@pytest.mark.parametrize(("most", "count", "truncated"), [(1, 1, True), (2, 2, False)])
def test_at_most_max_segments_are_reported_and_more_are_told(
    most: int, count: int, truncated: bool
) -> None:
    original, host = film(17), film(170)
    query = spliced(piece(original, 30.0), 8.0, spliced(host, 5.0, piece(original, 3.0)))
    found = everything(query, 24.0, original, 50.0, options=replace(OPTIONS, max_segments=most))
    assert (len(found.segments), found.truncated) == (count, truncated)


def shuffled(source: Film) -> Film:
    """Twenty pieces of four seconds in another order."""
    order = np.random.default_rng(5).permutation(20)
    return lambda times: source(4.0 * order[np.minimum(times // 4.0, 19).astype(int)] + times % 4.0)


def test_many_cuts_of_one_film_have_a_segment_each() -> None:
    original = film(18)
    found = everything(shuffled(original), 80.0, original, 80.0)
    assert len(found.segments) > 12
    assert covered_s(found.segments) > 60.0
    assert not found.truncated


def test_a_search_that_takes_too_long_ends_and_tells_so() -> None:
    original = film(18)
    options = replace(OPTIONS, max_examined=1)
    found = everything(shuffled(original), 80.0, original, 80.0, options=options)
    assert len(found.segments) == ENOUGH_SEGMENTS
    assert found.truncated


def test_times_of_another_number_than_the_cells_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        align(
            np.zeros((2, 3), dtype=np.float32),
            np.arange(3.0),
            np.arange(3.0),
            query_duration_s=3,
            reference_duration_s=3,
            options=OPTIONS,
        )


def test_segments_stay_inside_both_videos() -> None:
    for seed in range(6):
        original = film(400 + seed)
        for one in aligned(piece(original, 2.7), 11.3, original, 12.1):
            assert 0 <= one.query_start_s < one.query_end_s <= 11.3
            assert 0 <= one.reference_start_s < one.reference_end_s <= 12.1
            assert 0 <= one.similarity <= 1
