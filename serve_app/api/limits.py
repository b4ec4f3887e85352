"""Limits of one key: requests per minute, jobs and bytes per day.

The RateLimit header fields follow draft-ietf-httpapi-ratelimit-headers.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dubl.errors import RateLimited

MINUTE_S = 60
DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """The state of one limit: `left` of `limit`, with more after `reset_s`. `exceeded`: this
    request is one too many.
    """

    name: str
    limit: int
    window_s: int
    left: int
    reset_s: int
    exceeded: bool = False

    def require(self) -> None:
        """Raises RateLimited."""
        if self.exceeded:
            raise RateLimited(
                f"the key has reached its limit of {self.limit} for each {self.name}",
                context={"retry_after_s": self.reset_s},
            )


def headers_of(allowances: Sequence[Allowance]) -> Mapping[str, str]:
    policies = [f'"{item.name}";q={item.limit};w={item.window_s}' for item in allowances]
    states = [f'"{item.name}";r={item.left};t={item.reset_s}' for item in allowances]
    return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(states)}


class RequestLimit:
    """One token bucket for each key, filled evenly; a minute's amount may come at once. One per
    ingress."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, key_id: str, limit: int) -> Allowance:
        """Counts a request, unless it exceeds the limit."""
        now, rate = self._clock(), limit / MINUTE_S
        tokens, filled_at = self._buckets.get(key_id, (float(limit), now))
        tokens = min(limit, tokens + (now - filled_at) * rate)
        exceeded = tokens < 1
        left = tokens if exceeded else tokens - 1
        self._buckets[key_id] = (left, now)
        wanted = 1 if exceeded else limit
        return Allowance(
            name="minute",
            limit=limit,
            window_s=MINUTE_S,
            left=int(left),
            reset_s=math.ceil((wanted - left) / rate),
            exceeded=exceeded,
        )


class UploadQuota:
    """Bytes of bodies of each key in this day (UTC). One per ingress. A limit of 0: none."""

    def __init__(self, limit_bytes: int, clock: Callable[[], float] = time.time) -> None:
        self._limit_bytes = limit_bytes
        self._clock = clock
        self._day = 0
        self._used: Counter[str] = Counter()

    def require(self, key_id: str, count: int) -> None:
        """Raises RateLimited if so many bytes are too many."""
        if not key_id or not self._limit_bytes:
            return
        day, second = divmod(int(self._clock()), DAY_S)
        if day != self._day:
            self._day = day
            self._used.clear()
        if self._used[key_id] + count > self._limit_bytes:
            raise RateLimited(
                f"the key may send {self._limit_bytes:,} bytes a day (access.upload_bytes_per_day)",
                context={"limit_bytes": self._limit_bytes, "retry_after_s": DAY_S - second},
            )

    def take(self, key_id: str, count: int) -> None:
        """Counts bytes that have come. Raises RateLimited."""
        self.require(key_id, count)
        if key_id and self._limit_bytes:
            self._used[key_id] += count


def day_allowance(used: int, limit: int, *, now_s: float) -> Allowance:
    """The rest of a day's jobs (UTC)."""
    return Allowance(
        name="day",
        limit=limit,
        window_s=DAY_S,
        left=max(0, limit - used),
        reset_s=DAY_S - int(now_s) % DAY_S,
        exceeded=used > limit,
    )
