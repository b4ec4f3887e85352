"""Copies of a calm shot, whose frames are much alike, have their speed, direction and pieces."""

from __future__ import annotations

import numpy as np
import pytest

from dubl.matching.alignment import AlignmentOptions, align
from dubl.matching.calm import LEAST_SPEED, realigned
from dubl.matching.matrix import pair_matrix
from dubl.types import Float64Array, Segment, VideoFeatures
from tests.unit.matching.features import MeanComparator, video
from tests.unit.matching.footage import DIMS, film, unit

OPTIONS = AlignmentOptions()
BASE, MOVES = np.random.default_rng(4).normal(size=(2, 40, DIMS))
Truth = tuple[float, float, float, float, bool]


def calm(times_s: Float64Array) -> Float64Array:
    """One shot: its frames have cosines of .9 and more."""
    weights = np.exp(-2 * (times_s[:, None] - 0.5 * np.arange(40)) ** 2)
    return unit(6 * BASE[0] / np.linalg.norm(BASE[0]) + 0.2 * (weights @ MOVES))


def shown(position: str) -> tuple[VideoFeatures, list[Truth]]:
    """A query and its stretches: query seconds, reference seconds, backwards."""

    def forwards(times_s: Float64Array) -> Float64Array:
        if position == "boomerang":
            return calm(4.0 + np.abs((times_s + 4) % 8 - 4))
        if position == "pieces":
            return calm(np.where(times_s < 5, 1.0 + times_s, 7.0 + times_s - 5))
        return calm(3.0 + float(position) * times_s)

    if position == "boomerang":
        return video(forwards, 8.0, rate_hz=2, noise=0.1), [
            (0, 4, 4, 8, False),
            (4, 8, 4, 8, True),
        ]
    if position == "pieces":
        return video(forwards, 10.0, rate_hz=2, noise=0.1), [
            (0, 5, 1, 6, False),
            (5, 10, 7, 12, False),
        ]
    speed = float(position)
    return video(forwards, 6 / speed, rate_hz=2, noise=0.1), [(0, 6 / speed, 3, 9, False)]


def segments_of(query: VideoFeatures, reference: VideoFeatures) -> tuple[Segment, ...]:
    pair = pair_matrix(query, reference, MeanComparator())
    aligned = align(
        pair.similarity,
        pair.query_times_s,
        pair.reference_times_s,
        query_duration_s=query.duration_s,
        reference_duration_s=reference.duration_s,
        options=OPTIONS,
    )
    return realigned(
        aligned.segments, pair, query, reference, max_speed=OPTIONS.max_speed, min_segment_s=1.0
    )


@pytest.mark.parametrize("position", ["1.0", "0.8", "0.67", "0.5", "0.25", "boomerang", "pieces"])
def test_each_stretch_of_a_calm_shot_is_told(position: str) -> None:
    query, stretches = shown(position)
    found = sorted(
        segments_of(query, video(calm, 20.0, rate_hz=2)), key=lambda one: one.query_start_s
    )
    told = [
        (
            one.query_start_s,
            one.query_end_s,
            one.reference_start_s,
            one.reference_end_s,
            one.reversed,
        )
        for one in found
    ]
    assert len(told) == len(stretches)
    for have, want in zip(told, stretches, strict=True):
        assert have[:4] == pytest.approx(want[:4], abs=0.6)
        assert have[4] == want[4]


def test_an_eighth_of_the_speed_is_seen() -> None:
    query = video(lambda times_s: calm(3.0 + times_s / 8), 32.0, rate_hz=2, noise=0.1)
    (found,) = segments_of(query, video(calm, 20.0, rate_hz=2))
    assert found.speed == pytest.approx(1 / 8, abs=0.02)
    assert found.speed > LEAST_SPEED


def test_a_film_of_many_shots_is_left_alone() -> None:
    moving = film(3)
    query = video(lambda times_s: moving(times_s + 8), 30.0, rate_hz=2, noise=0.3)
    (found,) = segments_of(query, video(moving, 60.0))
    assert found.query_end_s - found.query_start_s == pytest.approx(30.0, abs=0.6)
    assert found.reference_start_s == pytest.approx(8.0, abs=0.5)


def test_nothing_is_made_of_nothing() -> None:
    query, reference = video(calm, 8.0), video(film(3), 8.0)
    pair = pair_matrix(query, reference, MeanComparator())
    assert realigned((), pair, query, reference, max_speed=4.0, min_segment_s=1.0) == ()


def test_a_stretch_against_one_instant_is_weighed_like_any_other() -> None:
    query, reference = video(calm, 8.0, rate_hz=2), video(calm, 20.0, rate_hz=2)
    instant = Segment(
        query_start_s=0.0,
        query_end_s=8.0,
        reference_start_s=4.0,
        reference_end_s=4.0,
        similarity=0.9,
    )
    (found,) = realigned(
        [instant],
        pair_matrix(query, reference, MeanComparator()),
        query,
        reference,
        max_speed=OPTIONS.max_speed,
        min_segment_s=1.0,
    )
    assert found.reference_end_s - found.reference_start_s == pytest.approx(8.0, abs=0.5)
