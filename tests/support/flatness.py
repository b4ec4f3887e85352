"""Whether what was sampled over time stays flat.

The first half is warm-up: caches fill, pools grow to their size. Over the second half a line is
laid (Theil-Sen: the median of the slopes of all pairs, so that single peaks count for nothing).
What it rises from the half to the end must stay below a share of the level, or below a floor for
what is small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from statistics import median

MAX_PAIRED = 200  # samples of a series that are paired with each other; evenly taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What a series may rise over the second half: a share of its level there, at least `floor`."""

    share: float
    floor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """A series over the second half: its level (median), by how much it rises, and by how much it
    might."""

    start: float
    level: float
    last: float
    rise: float
    allowed: float

    @property
    def flat(self) -> bool:
        return self.rise <= self.allowed

    def shown(self) -> dict[str, object]:
        rounded = {name: round(value, 3) for name, value in asdict(self).items()}
        return {**rounded, "flat": self.flat}


def trend_of(times_s: Sequence[float], values: Sequence[float], allowance: Allowance) -> Trend:
    """Of samples in order of time."""
    half_s = (times_s[0] + times_s[-1]) / 2
    late = [(at, value) for at, value in zip(times_s, values, strict=True) if at >= half_s]
    chosen = late[:: max(1, len(late) // MAX_PAIRED)]
    slopes = [(b - a) / (tb - ta) for (ta, a), (tb, b) in combinations(chosen, 2) if tb > ta]
    level = median(value for _, value in late)
    return Trend(
        start=values[0],
        level=level,
        last=values[-1],
        rise=median(slopes) * (times_s[-1] - half_s) if slopes else 0.0,
        allowed=max(allowance.floor, allowance.share * level),
    )
