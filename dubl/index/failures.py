"""The `failures` table: videos that a batch job could not take in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa

from dubl.index.clock import utc_text
from dubl.index.schema import failures_schema
from dubl.index.tables import Tables, store_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A video and the domain error that refused it. `created_at` is UTC, set when recorded."""

    path: str
    code: str
    detail: str
    created_at: str = ""


def append_failures(tables: Tables, failures: Sequence[Failure]) -> None:
    if not failures:
        return
    now = utc_text(datetime.now(UTC))
    rows = [
        {"path": item.path, "code": item.code, "detail": item.detail, "created_at": now}
        for item in failures
    ]
    tables.failures.add(pa.Table.from_pylist(rows, schema=failures_schema()))


def read_failures(tables: Tables) -> list[Failure]:
    with store_errors("read failures"):
        rows = tables.failures.search().to_arrow().to_pylist()
    return [
        Failure(
            path=row["path"],
            code=row["code"],
            detail=row["detail"],
            created_at=row["created_at"],
        )
        for row in rows
    ]
