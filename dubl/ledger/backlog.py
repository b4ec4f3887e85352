"""The amount and age of unfinished work in the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pydantic import TypeAdapter

from dubl.ledger.clock import utc_now
from dubl.ledger.database import Database
from dubl.ledger.endings import UNFINISHED

COUNTS = f"""
    SELECT
        count(*) FILTER (WHERE state = 'queued'),
        count(*) FILTER (WHERE state = 'running'),
        count(*) FILTER (WHERE dead),
        min(created_at) FILTER (WHERE state = 'queued' AND due_at < ?),
        (SELECT count(*) FROM deliveries WHERE state = 'pending')
    FROM jobs WHERE {UNFINISHED} OR dead
"""
COUNTED = TypeAdapter(list[tuple[int, int, int, str | None, int]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """Unfinished jobs and webhooks, and dead jobs, which may be queued again.

    `oldest_due_s`: seconds for which the oldest startable job has waited; 0 without one.
    """

    queued: int
    running: int
    dead: int
    deliveries: int
    oldest_due_s: float


def read_backlog(database: Database) -> Backlog:
    now = utc_now()
    found = COUNTED.validate_python(database.rows(COUNTS, [now]))
    ((queued, running, dead, oldest, deliveries),) = found
    return Backlog(
        queued=queued,
        running=running,
        dead=dead,
        deliveries=deliveries,
        oldest_due_s=_seconds_between(oldest, now) if oldest else 0.0,
    )


def _seconds_between(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
