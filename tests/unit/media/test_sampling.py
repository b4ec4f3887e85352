"""The plan names true pictures, whatever their rate, and never the same one twice for nothing."""

from __future__ import annotations

import numpy as np
import pytest

from dubl.media.sampling import plan_rows
from dubl.types import Sampling


def _plan(times_s: object, duration_s: float, *, rate_hz: float = 1.0, min_frames: int = 4):
    sampling = Sampling(rate_hz=rate_hz, min_frames=min_frames, frame_size=32)
    return plan_rows(np.asarray(times_s, dtype=float), duration_s, sampling=sampling)


def test_a_steady_video_gives_a_row_each_step() -> None:
    plan = _plan(np.arange(250) / 25, 10.0, rate_hz=2.0)
    assert plan.picture_times_s.tolist() == pytest.approx(np.arange(20) / 2, abs=0.021)
    assert plan.row_times_s.tolist() == plan.picture_times_s.tolist()


def test_the_nearer_of_two_pictures_is_taken() -> None:
    plan = _plan([0.0, 0.7, 1.1, 2.0, 2.9], 3.9)
    assert plan.picture_times_s.tolist() == [0.0, 1.1, 2.0, 2.9]


def test_a_short_video_gives_the_asked_number_of_rows_evenly_spread() -> None:
    plan = _plan(np.arange(50) / 25, 2.0, min_frames=8)
    assert len(plan) == 8
    assert np.diff(plan.row_times_s) == pytest.approx(0.25, abs=0.041)


def test_a_video_with_fewer_pictures_than_asked_gives_each_once() -> None:
    plan = _plan(np.arange(5) / 25, 0.2, min_frames=8)
    assert plan.picture_times_s.tolist() == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])


def test_pictures_bunched_in_time_are_taken_by_number() -> None:
    plan = _plan([0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.4], 0.44, min_frames=5)
    assert len(plan) == 5
    assert np.all(np.diff(plan.row_times_s) > 0)


def test_a_picture_that_stays_stands_for_every_second_of_it() -> None:
    plan = _plan([0.0, 5.0, 5.5], 8.0)
    assert plan.row_times_s.tolist() == [0, 1, 2, 3, 4, 5, 5.5, 7]
    assert plan.picture_times_s.tolist() == [0, 0, 0, 0, 0, 5, 5.5, 5.5]


def test_one_picture_is_a_plan() -> None:
    plan = _plan([0.0], 0.04)
    assert plan.row_times_s.tolist() == [0.0]


def test_row_times_grow_for_any_rate() -> None:
    rng = np.random.default_rng(5)
    for _ in range(200):
        times_s = np.cumsum(rng.choice([0.001, 0.03, 0.04, 0.3, 2.5], size=rng.integers(1, 90)))
        times_s -= times_s[0]
        duration_s = float(times_s[-1]) + 0.04
        rate_hz = float(rng.choice([0.5, 1.0, 2.0, 5.0]))
        plan = _plan(times_s, duration_s, rate_hz=rate_hz, min_frames=8)
        assert np.all(np.diff(plan.row_times_s) > 0)
        assert np.all(np.isin(plan.picture_times_s, times_s))
        assert len(plan) >= min(8, len(times_s))
        assert plan.row_times_s[-1] < duration_s
        assert np.all(plan.row_times_s >= plan.picture_times_s)


def test_asked_times_get_the_picture_nearest_to_each_once() -> None:
    sampling = Sampling(
        rate_hz=1.0, min_frames=1, frame_size=32, times_s=(0.0, 0.33, 0.34, 1.05, 9.0)
    )
    plan = plan_rows(np.arange(50) / 25, 2.0, sampling=sampling)
    assert plan.picture_times_s.tolist() == pytest.approx([0.0, 0.32, 0.36, 1.04, 1.96])
    assert plan.row_times_s.tolist() == plan.picture_times_s.tolist()


def test_asked_times_of_a_single_picture_give_that_picture() -> None:
    sampling = Sampling(rate_hz=1.0, min_frames=1, frame_size=32, times_s=(0.5, 1.5))
    assert plan_rows(np.array([0.0]), 2.0, sampling=sampling).picture_times_s.tolist() == [0.0]
