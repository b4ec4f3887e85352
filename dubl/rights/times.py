"""Instants as text that sorts by time."""

from __future__ import annotations

from datetime import UTC, datetime

from dubl.errors import InvalidRights


def utc(value: str) -> str:
    """ "2026-11-22T16:26:17.789Z" from any ISO 8601 time; a date is its midnight, and what names no
    zone is UTC. Raises ValueError."""
    try:
        found = datetime.fromisoformat(value)
        zoned = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise ValueError(
            "must be an ISO 8601 time such as 2026-01-31 or 2026-01-31T18:00:00+03:00"
        ) from exc
    return zoned.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utc_text(value: str, *, name: str) -> str:
    """As `utc`. Raises InvalidRights that names `name`."""
    try:
        return utc(value)
    except ValueError as exc:
        raise InvalidRights(f"`{name}` {exc}") from exc
