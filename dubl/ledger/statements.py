"""Statements that several parts of the ledger share."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import duckdb

from dubl.ledger.database import Database, Row, Value
from dubl.types import Check, Delivery, Job, Page, PagePosition, Review

Listed = TypeVar("Listed", Job, Check, Delivery, Review)


def utc_now(*, plus_s: float = 0.0) -> str:
    """ "2026-11-22T16:26:17.789Z", or so many seconds later; texts compare as the times do."""
    text = (datetime.now(UTC) + timedelta(seconds=plus_s)).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def insert(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    columns: Sequence[str],
    values: Sequence[Value],
) -> bool:
    """Adds a row whose primary key is the first column, unless it is there; whether it was added.

    Within a transaction. DuckDB 2.0 keeps 1.5 KB in memory for each INSERT OR IGNORE until the
    file is closed, .6 KB for a plain one.
    """
    there = f"SELECT 1 FROM {table} WHERE {columns[0]} = ?"
    if connection.execute(there, [values[0]]).fetchone() is not None:
        return False
    marks = ", ".join("?" for _ in columns)
    statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"
    connection.execute(statement, list(values))
    return True


def newest(
    database: Database,
    columns: Sequence[str],
    table: str,
    conditions: dict[str, Value],
    *,
    limit: int,
    cursor: str,
) -> list[Row]:
    """Rows for `page`, newest first: one more than `limit` where there are more.

    `conditions` maps SQL with one mark to its value. Ids are sought first: a sort over all columns
    would read, and keep in memory, every verdict there is.
    """
    parts, values = list(conditions), list(conditions.values())
    if cursor:
        position = PagePosition.from_cursor(cursor)
        parts.append("(created_at, id) < (?, ?)")
        values += [position.created_at, position.id]
    where = f"WHERE {' AND '.join(parts)}" if parts else ""
    order = "ORDER BY created_at DESC, id DESC"
    sought = database.rows(f"SELECT id FROM {table} {where} {order} LIMIT ?", [*values, limit + 1])
    ids = [str(row[0]) for row in sought]
    marks = ", ".join("?" for _ in ids) or "NULL"
    statement = f"SELECT {', '.join(columns)} FROM {table} WHERE id IN ({marks}) {order}"
    return database.rows(statement, ids)


def page(items: Sequence[Listed], limit: int) -> Page[Listed]:
    """The first `limit` items; a further one says that there are more pages."""
    if len(items) <= limit:
        return Page(items=tuple(items), next_cursor="")
    last = items[limit - 1]
    position = PagePosition(created_at=last.created_at, id=last.id)
    return Page(items=tuple(items[:limit]), next_cursor=position.cursor)
