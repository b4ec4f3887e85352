"""Claims about the rule by which a soak is judged."""

from __future__ import annotations

import random

from tests.support.flatness import Allowance, trend_of

STRICT = Allowance(share=0.03, floor=4.0)
MINUTES = [float(minute) for minute in range(61)]


def test_a_leak_that_never_ends_is_no_plateau() -> None:
    trend = trend_of(MINUTES, [100 + 0.2 * minute for minute in MINUTES], STRICT)
    assert not trend.flat
    assert round(trend.rise, 6) == 6.0


def test_a_rise_that_ends_before_the_half_is_warm_up() -> None:
    assert trend_of(MINUTES, [100 + min(minute, 25) * 4 for minute in MINUTES], STRICT).flat


def test_noise_and_single_peaks_are_flat() -> None:
    chance = random.Random(1)
    values = [200 + chance.gauss(0, 5) for _ in MINUTES]
    values[-2] = 900.0
    assert trend_of(MINUTES, values, STRICT).flat


def test_a_leak_is_seen_through_noise() -> None:
    chance = random.Random(1)
    values = [200 + 0.5 * minute + chance.gauss(0, 3) for minute in MINUTES]
    assert not trend_of(MINUTES, values, STRICT).flat


def test_what_is_small_may_grow_by_the_floor() -> None:
    assert trend_of(MINUTES, [10 + 0.1 * minute for minute in MINUTES], STRICT).flat
