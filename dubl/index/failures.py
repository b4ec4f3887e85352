"""The `failures` table: videos that batch jobs could not index, one row for each path."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from functools import partial

import pyarrow as pa

from dubl.index import predicates
from dubl.index.clock import utc_text
from dubl.index.reading import VALUES_PER_QUERY, chunks
from dubl.index.schema import failures_schema
from dubl.index.tables import Tables, committed, store_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A video and the domain error that refused it.

    `attempts` and `created_at` (UTC, of the last attempt) are set when it is recorded.
    """

    path: str
    code: str
    detail: str
    created_at: str = ""
    attempts: int = 0


def record_failures(tables: Tables, failures: Sequence[Failure], solved: Iterable[str]) -> None:
    """Writes failures, counting attempts by path, and removes those of `solved` paths."""
    forget_failures(tables, solved)
    if not failures:
        return
    latest = {failure.path: failure for failure in failures}
    before = {failure.path: failure.attempts for failure in _of_paths(tables, latest)}
    now = utc_text(datetime.now(UTC))
    rows = [
        asdict(replace(failure, attempts=before.get(path, 0) + 1, created_at=now))
        for path, failure in latest.items()
    ]
    merge = tables.failures.merge_insert("path").when_matched_update_all()
    merge = merge.when_not_matched_insert_all()
    written = pa.Table.from_pylist(rows, schema=failures_schema())
    committed(tables.failures, lambda: merge.execute(written))


def forget_failures(tables: Tables, paths: Iterable[str]) -> None:
    """Removes the rows of these paths; commits only if there are any."""
    # Rows as they are now: another job may be recording a later attempt.
    keys = [(one.path, one.created_at) for one in _of_paths(tables, paths)]
    for chunk in chunks(keys, VALUES_PER_QUERY):
        delete = partial(tables.failures.delete, predicates.of_times("path", chunk))
        committed(tables.failures, delete)


def read_failures(tables: Tables) -> list[Failure]:
    with store_errors("read failures"):
        return _failures(tables.failures.search().to_arrow())


def _of_paths(tables: Tables, paths: Iterable[str]) -> list[Failure]:
    if not tables.failures.count_rows():
        return []
    found: list[Failure] = []
    for chunk in chunks(paths, VALUES_PER_QUERY):
        query = tables.failures.search().where(predicates.among("path", chunk))
        found += _failures(query.to_arrow())
    return found


def _failures(rows: pa.Table) -> list[Failure]:
    names = [field.name for field in fields(Failure)]
    return [Failure(**row) for row in rows.select(names).to_pylist()]
