"""How much one key may ask: requests a minute, jobs a day (RateLimit header fields of
draft-ietf-httpapi-ratelimit-headers)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dubl.errors import RateLimited

MINUTE_S = 60
DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """One limit as it stands: `left` of `limit` until `reset_s` from now."""

    name: str
    limit: int
    window_s: int
    left: int
    reset_s: int


def headers_of(allowances: list[Allowance]) -> Mapping[str, str]:
    policies = [f'"{item.name}";q={item.limit};w={item.window_s}' for item in allowances]
    states = [f'"{item.name}";r={item.left};t={item.reset_s}' for item in allowances]
    return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(states)}


class RequestLimit:
    """A bucket a key, filled evenly; a minute's worth may come at once. One per ingress."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, key_id: str, limit: int) -> Allowance:
        """Counts a request. Raises RateLimited."""
        now, rate = self._clock(), limit / MINUTE_S
        tokens, filled_at = self._buckets.get(key_id, (float(limit), now))
        tokens = min(limit, tokens + (now - filled_at) * rate)
        if tokens < 1:
            self._buckets[key_id] = (tokens, now)
            raise RateLimited(
                f"the key has used its {limit} requests a minute",
                context={"retry_after_s": math.ceil((1 - tokens) / rate)},
            )
        self._buckets[key_id] = (tokens - 1, now)
        full_in_s = math.ceil((limit - tokens + 1) / rate)
        return Allowance(
            name="minute",
            limit=limit,
            window_s=MINUTE_S,
            left=int(tokens - 1),
            reset_s=full_in_s,
        )


def day_allowance(used: int, limit: int, *, now_s: float) -> Allowance:
    """What is left of a day's jobs (UTC). Raises RateLimited."""
    reset_s = DAY_S - int(now_s) % DAY_S
    if used > limit:
        raise RateLimited(
            f"the key has used its {limit} jobs of today", context={"retry_after_s": reset_s}
        )
    return Allowance(name="day", limit=limit, window_s=DAY_S, left=limit - used, reset_s=reset_s)
