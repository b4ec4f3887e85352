"""Of a loop every repetition has a segment; other seconds of a calm film have none."""

from __future__ import annotations

import numpy as np
import pytest

from dubl.matching.alignment import Aligned, AlignmentOptions, align
from dubl.matching.segments import covered_s
from dubl.types import Float64Array
from tests.unit.matching.footage import DIMS, Film, cosines, film, frame_times, noisy, unit

OPTIONS = AlignmentOptions()


def aligned(
    query: Film, query_s: float, reference: Film, reference_s: float, options: AlignmentOptions
) -> Aligned:
    rows = frame_times(query_s, rate_hz=2.0)
    columns = frame_times(reference_s, rate_hz=1.0)
    return align(
        cosines(noisy(query(rows), noise=0.3), reference(columns)),
        rows,
        columns,
        query_duration_s=query_s,
        reference_duration_s=reference_s,
        options=options,
    )


def looped(source: Film, length_s: float) -> Film:
    return lambda times: source(times % length_s)


@pytest.mark.parametrize(
    ("length_s", "count", "drift"), [(3.5, 18, 0.5), (6.0, 10, 1.5), (10.0, 30, 0.5)]
)
def test_a_loop_is_covered(length_s: float, count: int, drift: float) -> None:
    original = film(1, drift=drift)
    found = aligned(
        looped(original, length_s), count * length_s, original, length_s, options=OPTIONS
    )
    assert covered_s(found.segments) > 0.85 * count * length_s
    assert not found.truncated


def test_repetitions_play_as_the_first_one_does() -> None:
    original = film(1)
    backwards = looped(lambda times: original(6.0 - times), 6.0)
    found = aligned(backwards, 60.0, original, 6.0, options=OPTIONS).segments
    assert all(one.reversed for one in found)
    assert covered_s(found) > 50.0


def test_beyond_the_limit_a_loop_is_told_to_go_on() -> None:
    original = film(1)
    options = AlignmentOptions(max_segments=12)
    found = aligned(looped(original, 6.0), 120.0, original, 6.0, options)
    assert (len(found.segments), found.truncated) == (12, True)


def test_what_stands_still_is_not_repeated() -> None:
    still = film(1, shot_s=1e4, drift=0.0)
    found = aligned(still, 60.0, still, 6.0, options=OPTIONS)
    assert len(found.segments) <= 2


@pytest.mark.parametrize("drift", [0.1, 0.5, 2.0])
def test_other_seconds_of_the_same_calm_scene_are_no_repetition(drift: float) -> None:
    """Six seconds are in the reference; the scene slowly goes on for a minute."""
    room, change = np.random.default_rng(2).normal(size=(2, DIMS))

    def scene(times: Float64Array) -> Float64Array:
        return unit(room + drift * times[:, None] / 20.0 * change)

    found = aligned(scene, 60.0, lambda times: scene(times + 20.0), 6.0, options=OPTIONS)
    assert covered_s(found.segments) < 14.0


def test_a_copy_among_other_footage_is_found_once() -> None:
    original, host = film(1), film(9)

    def query(times: Float64Array) -> Float64Array:
        inside = (times >= 20.0) & (times < 30.0)
        return np.where(inside[:, None], original(np.maximum(times - 20.0, 0.0)), host(times))

    (found,) = aligned(query, 60.0, original, 10.0, options=OPTIONS).segments
    assert (found.query_start_s, found.query_end_s) == pytest.approx((20.0, 30.0), abs=1.0)
