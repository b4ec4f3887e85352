"""Claims about the simulated day: what goes in comes out, and the rule does what Serve's does."""

from __future__ import annotations

import numpy as np

from benchmarks.simulate_day import (
    CURVE,
    HOUR_S,
    Policy,
    day_of_arrivals,
    policy_of,
    simulate,
)
from dubl.types import Float64Array


def steady(rate: float, seconds: float) -> Float64Array:
    return np.arange(0, seconds, 1 / rate)


def test_every_check_is_done_or_refused() -> None:
    rng = np.random.default_rng(0)
    arrivals = day_of_arrivals(5_000, rng)
    work = rng.exponential(20.0, len(arrivals))
    outcome = simulate(arrivals, work, Policy(min_replicas=1, max_replicas=2, max_queued=10))
    assert outcome.rejected > 0
    assert len(outcome.waits_s) + outcome.rejected == len(arrivals)
    assert (outcome.waits_s >= 0).all()


def test_one_replica_that_keeps_up_lets_nobody_wait() -> None:
    arrivals = steady(0.5, 600)
    outcome = simulate(
        arrivals, np.full(len(arrivals), 1.0), Policy(min_replicas=1, max_replicas=9)
    )
    assert outcome.waits_s.max() == 0
    assert outcome.most_replicas == 1


def test_waiting_is_that_of_one_queue() -> None:
    outcome = simulate(
        np.array([0.0, 0.1, 0.2]), np.array([1.0, 2.0, 1.0]), Policy(min_replicas=1, max_replicas=1)
    )
    np.testing.assert_allclose(outcome.waits_s, [0.0, 0.9, 2.8])


def test_more_load_brings_as_many_replicas_as_it_needs_and_no_load_takes_them_back() -> None:
    busy = steady(8.0, 2 * HOUR_S)
    late = np.array([4 * HOUR_S])
    arrivals = np.concatenate([busy, late])
    policy = Policy(min_replicas=1, max_replicas=50, upscale_delay_s=10, downscale_delay_s=60)
    outcome = simulate(arrivals, np.full(len(arrivals), 1.0), policy)
    assert 8 <= outcome.most_replicas <= 50
    assert np.median(outcome.waits_s[-1000:]) == 0
    # At least two hours of eight busy replicas and two of one that waits; overshooting, and
    # scaling down late, costs no more than as much again.
    assert 2 * 8 + 2 <= outcome.replica_hours <= 2 * (2 * 8 + 2)


def test_replicas_that_start_slowly_make_a_rush_wait_longer() -> None:
    arrivals = np.concatenate([steady(0.5, 600), 600 + steady(5.0, 600)])
    work = np.full(len(arrivals), 1.0)
    quick, slow = (
        simulate(arrivals, work, Policy(min_replicas=1, max_replicas=20, start_s=start_s))
        for start_s in (1.0, 120.0)
    )
    assert slow.waits_s.max() > quick.waits_s.max() + 30


def test_the_days_arrivals_follow_the_curve() -> None:
    arrivals = day_of_arrivals(50_000, np.random.default_rng(1))
    assert (np.diff(arrivals) >= 0).all()
    by_hour = np.bincount((arrivals / HOUR_S).astype(int), minlength=24)
    assert by_hour.argmax() == int(np.argmax(CURVE))
    assert by_hour[3] < by_hour[20] / 5


def test_the_policy_is_that_of_the_configuration() -> None:
    policy = policy_of("Decoder")
    assert policy.max_replicas > policy.min_replicas >= 1
