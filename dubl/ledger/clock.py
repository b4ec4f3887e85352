"""Times in the ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

DAY_S = 86_400

_ahead = timedelta()  # of the ledger's server, before this machine


def follow(server: datetime, *, asked: datetime, answered: datetime) -> None:
    """Sets this process's clock by that of the ledger's server, which processes share.

    `server`: its time somewhere between two times of this machine. A difference that the way there
    and back explains changes nothing.
    """
    global _ahead
    if not server - answered <= _ahead <= server - asked:
        _ahead = server - asked - (answered - asked) / 2


def now() -> datetime:
    """The time by the ledger's clock: this machine's, or that of the server that was followed."""
    return datetime.now(UTC) + _ahead


def utc_now(*, plus_s: float = 0.0, timespec: str = "milliseconds") -> str:
    """ "2026-11-22T16:26:17.789Z", or so many seconds later; texts compare as the times do."""
    text = (now() + timedelta(seconds=plus_s)).isoformat(timespec=timespec)
    return text.replace("+00:00", "Z")


def seconds_left_of_day() -> int:
    """Seconds until the next day (UTC) begins."""
    today = now()
    return DAY_S - (today.hour * 60 + today.minute) * 60 - today.second
