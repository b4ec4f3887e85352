"""Times in the ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

DAY_S = 86_400


def utc_now(*, plus_s: float = 0.0, timespec: str = "milliseconds") -> str:
    """ "2026-11-22T16:26:17.789Z", or so many seconds later; texts compare as the times do."""
    text = (datetime.now(UTC) + timedelta(seconds=plus_s)).isoformat(timespec=timespec)
    return text.replace("+00:00", "Z")


def seconds_left_of_day() -> int:
    """Seconds until the next day (UTC) begins."""
    now = datetime.now(UTC)
    return DAY_S - (now.hour * 60 + now.minute) * 60 - now.second
