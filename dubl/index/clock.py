"""UTC times as text that sorts by time."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from dubl.errors import InvalidRequest

STEP = timedelta(microseconds=1)


def utc_text(moment: datetime) -> str:
    """ "2026-11-22T16:26:17.789123Z": always with microseconds, so that texts compare as times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def instant(text: str) -> str:
    """How texts of any ISO 8601 time begin; it sorts before all of its microsecond. A time without
    an offset is taken as UTC. Raises InvalidRequest.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise InvalidRequest(f"'{text}' is not an ISO 8601 time") from exc
    return utc_text(moment if moment.tzinfo else moment.replace(tzinfo=UTC)).removesuffix("Z")


class RisingClock:
    """A clock whose times are strictly ascending, even within one microsecond.

    The nanoseconds are random: writers tell their frames by these times, and two processes may
    register one id within the same microsecond.
    """

    def __init__(self) -> None:
        self._last = datetime.min.replace(tzinfo=UTC)

    def next(self) -> str:
        """For example "2026-11-22T16:26:17.789123456Z"."""
        self._last = max(datetime.now(UTC), self._last + STEP)
        return f"{utc_text(self._last)[:-1]}{random.randrange(1000):03}Z"
