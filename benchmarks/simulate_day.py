"""One day of checks on paper: does the autoscaler of serve_config.yaml keep up with the load curve?

    python -m benchmarks.simulate_day [checks a day] [seconds a check]

Checks arrive as a Poisson process whose rate follows the day, with one rush that comes at once.
Replicas of one kind work on them, one at a time; Serve's rule decides how many there are.
"""

from __future__ import annotations

import heapq
import math
import sys
from collections import deque
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from benchmarks.results import Figure, at_most, plain, run

DAY_S = 86_400
HOUR_S = 3_600
TICK_S = 1.0
CONFIG = Path(__file__).parent.parent / "serve_config.yaml"
CHECKS = 100_000
# A check of a 30 s clip on one core of the machine in results/service.json, rounded up.
CHECK_S = 1.5
# A new replica on a warm node (results/service.json: the share of one replica in the start-up).
START_S = 10.0
MAX_QUEUED = 1024
# The rate over the day's mean by hour: a quiet night, an evening three times the mean.
# fmt: off
CURVE = (
    0.4, 0.3, 0.2, 0.2, 0.2, 0.3, 0.4, 0.6, 0.8, 0.9, 1.0, 1.0,
    1.1, 1.1, 1.1, 1.2, 1.3, 1.5, 1.8, 2.2, 2.5, 2.1, 1.2, 0.6,
)
# fmt: on
RUSH_AT_S, RUSH_FOR_S, RUSH_RATE = 10 * HOUR_S, 600, 3.0

Times = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Serve's autoscaling, by its own names and defaults: as many replicas as ongoing requests /
    `target_ongoing_requests`, averaged over `look_back_period_s`, once that has been more (less)
    than there are for the delay."""

    min_replicas: int
    max_replicas: int
    target_ongoing_requests: float = 1.0
    upscale_delay_s: float = 30.0
    downscale_delay_s: float = 600.0
    look_back_period_s: float = 30.0
    start_s: float = START_S
    max_queued: int = MAX_QUEUED


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`waits_s` [N] of the checks that were taken, from arrival to start."""

    waits_s: Times
    rejected: int
    replica_hours: float
    most_replicas: int


def measure() -> list[Figure]:
    arguments = [float(text) for text in sys.argv[1:]]
    checks = int(arguments[0]) if arguments else CHECKS
    check_s = arguments[1] if len(arguments) > 1 else CHECK_S
    policy = policy_of("Decoder")
    rng = np.random.default_rng(0)
    arrivals = day_of_arrivals(checks, rng)
    outcome = simulate(arrivals, rng.gamma(4.0, check_s / 4.0, len(arrivals)), policy)
    p50, p95, p99 = np.percentile(outcome.waits_s, [50, 95, 99])
    setup = (
        f"{len(arrivals)} checks of {check_s:g} s, at most {policy.max_replicas} replicas, "
        f"p50 {p50:.1f} s, p99 {p99:.1f} s"
    )
    work_hours = len(arrivals) * check_s / HOUR_S
    share = outcome.rejected / len(arrivals)
    return [
        at_most("simulated day: wait, p95", float(p95), 60, unit="s", setup=setup),
        at_most("simulated day: refused checks, share", share, 0.001, unit="", setup=setup),
        plain("simulated day: most replicas", outcome.most_replicas, unit="", setup=setup),
        at_most(
            "simulated day: replica hours over hours of work",
            outcome.replica_hours / work_hours,
            2.0,
            unit="×",
            setup="what scaling down late costs",
        ),
    ]


def policy_of(deployment: str) -> Policy:
    """What serve_config.yaml says of a deployment."""
    content = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    (found,) = (
        one for one in content["applications"][0]["deployments"] if one["name"] == deployment
    )
    known = {field.name for field in fields(Policy)}
    scaling = found["autoscaling_config"].items()
    return Policy(**{name: value for name, value in scaling if name in known})


def day_of_arrivals(checks: int, rng: np.random.Generator) -> Times:
    """Times of about `checks` arrivals, growing, plus the rush."""
    hours = np.asarray(CURVE) / np.mean(CURVE) * checks / len(CURVE)
    parts = [
        hour * HOUR_S + rng.random(rng.poisson(expected)) * HOUR_S
        for hour, expected in enumerate(hours)
    ]
    rush = rng.poisson(RUSH_RATE * checks / DAY_S * RUSH_FOR_S)
    parts.append(RUSH_AT_S + rng.random(rush) * RUSH_FOR_S)
    return np.sort(np.concatenate(parts))


def simulate(arrivals_s: Times, work_s: Times, policy: Policy) -> Outcome:
    """Plays arrivals [N], growing, with their times of work [N]."""
    farm = _Farm(policy)
    for arrival, work in zip(arrivals_s.tolist(), work_s.tolist(), strict=True):
        farm.advance(arrival)
        farm.accept(arrival, work)
    farm.advance(math.inf)
    return Outcome(
        waits_s=np.asarray(farm.waits_s),
        rejected=farm.rejected,
        replica_hours=farm.replica_s / HOUR_S,
        most_replicas=farm.most_replicas,
    )


class _Farm:
    """Replicas, those that start, the queue, and the autoscaler that looks once a second."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._replicas = self.most_replicas = policy.min_replicas
        self._starting: deque[float] = deque()  # when each will be ready
        self._ends: list[float] = []  # of the work under way, a heap
        self._queue: deque[tuple[float, float]] = deque()  # arrival, work
        self._tick = TICK_S
        self._ongoing: deque[int] = deque(maxlen=max(1, round(policy.look_back_period_s / TICK_S)))
        self._above = _Lasting(policy.upscale_delay_s)
        self._below = _Lasting(policy.downscale_delay_s)
        self.waits_s: list[float] = []
        self.rejected = 0
        self.replica_s = 0.0

    def accept(self, now: float, work: float) -> None:
        if len(self._queue) >= self._policy.max_queued:
            self.rejected += 1
            return
        self._queue.append((now, work))
        self._start_work(now)

    def advance(self, until: float) -> None:
        """Lets time pass; without an end, until the queue is empty."""
        while True:
            ends_at = self._ends[0] if self._ends else math.inf
            now = min(ends_at, self._tick)
            if now > until or (until == math.inf and not self._ends and not self._queue):
                return
            if ends_at <= self._tick:
                heapq.heappop(self._ends)
            else:
                self._scale(now)
                self._tick += TICK_S
            self._start_work(now)

    def _start_work(self, now: float) -> None:
        while self._queue and len(self._ends) < self._replicas:
            arrival, work = self._queue.popleft()
            self.waits_s.append(now - arrival)
            heapq.heappush(self._ends, now + work)

    def _scale(self, now: float) -> None:
        while self._starting and self._starting[0] <= now:
            self._starting.popleft()
            self._replicas += 1
        there = self._replicas + len(self._starting)
        self.replica_s += there * TICK_S
        self._ongoing.append(len(self._ends) + len(self._queue))
        mean = sum(self._ongoing) / len(self._ongoing)
        wanted = math.ceil(mean / self._policy.target_ongoing_requests)
        wanted = min(max(wanted, self._policy.min_replicas), self._policy.max_replicas)
        below = self._below.holds(now, wanted < there)
        if self._above.holds(now, wanted > there):
            self._starting.extend([now + self._policy.start_s] * (wanted - there))
        elif below:
            self._replicas = max(wanted - len(self._starting), self._policy.min_replicas)
        self.most_replicas = max(self.most_replicas, self._replicas)


class _Lasting:
    """Whether something has held for some seconds; then it must hold anew."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._since_s: float | None = None

    def holds(self, now: float, true: bool) -> bool:
        if not true:
            self._since_s = None
            return False
        if self._since_s is None:
            self._since_s = now
        if now - self._since_s < self._delay_s:
            return False
        self._since_s = None
        return True


if __name__ == "__main__":
    run("simulate_day", measure)
