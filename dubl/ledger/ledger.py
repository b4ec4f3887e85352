"""Jobs, verdicts and failures, in DuckDB.

What a method has written is on the disk when it returns: the ledger, not a queue in memory, is
the promise that an accepted job will be done.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import duckdb

from dubl.errors import CheckNotFound, NotFound
from dubl.ledger.database import Database, Row, Value
from dubl.ledger.records import (
    CHECK_COLUMNS,
    JOB_COLUMNS,
    VERDICT_COLUMNS,
    check_row,
    job_row,
    to_check,
    to_job,
)
from dubl.types import Check, Job, JobState, Outcome, Page, PagePosition

Listed = TypeVar("Listed", Job, Check)

UNFINISHED = (JobState.QUEUED.value, JobState.RUNNING.value)


class Ledger:
    """One read-write process holds it; its threads may share it.

    Every method raises StoreUnavailable when the file cannot be read or written.
    """

    def __init__(self, path: Path | str) -> None:
        """Creates the file where absent. Raises StoreUnavailable while another process has it."""
        self._database = Database(Path(path))

    def close(self) -> None:
        """Hands the file over: the next process may open it."""
        self._database.close()

    def create_job(self, job: Job) -> None:
        """Records an accepted job; an id that is there already stays as it is."""
        with self._database.transaction("record a job") as connection:
            _insert(connection, "jobs", JOB_COLUMNS, job_row(job))

    def start_job(self, job_id: str) -> None:
        """Counts an attempt. Raises NotFound."""
        with self._database.transaction("start a job") as connection:
            changes = "state = ?, attempts = attempts + 1"
            _update_job(connection, job_id, changes, [JobState.RUNNING.value])

    def finish_job(self, job_id: str, *, result_id: str = "", created: bool = False) -> None:
        """Says that it is done and what came out. Raises NotFound."""
        with self._database.transaction("finish a job") as connection:
            _finish_job(connection, job_id, result_id=result_id, created=created)

    def fail_job(self, job_id: str, *, code: str, detail: str) -> None:
        """Says that it is over without a result. Raises NotFound."""
        with self._database.transaction("fail a job") as connection:
            changes = "state = ?, finished_at = ?, error_code = ?, error_detail = ?"
            values = [JobState.FAILED.value, utc_now(), code, detail]
            _update_job(connection, job_id, changes, values)

    def get_job(self, job_id: str) -> Job:
        """Raises NotFound."""
        return self._one_job("id = ?", job_id)

    def find_job(self, subject_id: str) -> Job:
        """The latest job for that check or reference. Raises NotFound."""
        return self._one_job("subject_id = ?", subject_id)

    def list_jobs(
        self, *, state: JobState | None = None, limit: int = 100, cursor: str = ""
    ) -> Page[Job]:
        """A page, newest first. Raises InvalidRequest for a cursor that no page gave."""
        conditions: list[str] = []
        values: list[Value] = []
        if state is not None:
            conditions.append("state = ?")
            values.append(state.value)
        rows = self._newest(JOB_COLUMNS, "jobs", conditions, values, limit, cursor)
        return _page([to_job(row) for row in rows], limit)

    def unfinished_jobs(self) -> tuple[Job, ...]:
        """Jobs that are queued or were running, oldest first: to be run again after a restart."""
        statement = (
            f"SELECT {', '.join(JOB_COLUMNS)} FROM jobs "
            "WHERE state IN (?, ?) ORDER BY created_at, id"
        )
        return tuple(to_job(row) for row in self._database.rows(statement, UNFINISHED))

    def record_check(self, check: Check, *, job_id: str = "") -> None:
        """Keeps the verdict and, with `job_id`, finishes that job in the same transaction.

        The first verdict of an id stays. Raises NotFound when there is no such job.
        """
        with self._database.transaction("record a verdict") as connection:
            _insert(connection, "checks", CHECK_COLUMNS + VERDICT_COLUMNS, check_row(check))
            if job_id:
                _finish_job(connection, job_id, result_id=check.id, created=True)

    def get_check(self, check_id: str) -> Check:
        """Raises CheckNotFound."""
        statement = f"SELECT {', '.join(CHECK_COLUMNS)} FROM checks WHERE id = ?"
        rows = self._database.rows(statement, [check_id])
        if not rows:
            raise CheckNotFound(f"there is no check '{check_id}'", context={"check_id": check_id})
        return to_check(rows[0])

    def list_checks(
        self,
        *,
        outcome: Outcome | None = None,
        reference_id: str = "",
        limit: int = 100,
        cursor: str = "",
    ) -> Page[Check]:
        """A page, newest first; `reference_id` keeps those whose best match it is.

        Raises InvalidRequest for a cursor that no page gave.
        """
        conditions: list[str] = []
        values: list[Value] = []
        if outcome is not None:
            conditions.append("outcome = ?")
            values.append(outcome.value)
        if reference_id:
            conditions.append("top_reference_id = ?")
            values.append(reference_id)
        rows = self._newest(CHECK_COLUMNS, "checks", conditions, values, limit, cursor)
        return _page([to_check(row) for row in rows], limit)

    def record_failure(self, path: str, *, code: str, detail: str, attempts: int = 1) -> None:
        """Keeps that a video could not be taken in."""
        values: list[Value] = [path, code, detail, attempts, utc_now()]
        with self._database.transaction("record a failure") as connection:
            connection.execute("INSERT INTO failures VALUES (?, ?, ?, ?, ?)", values)

    def count_jobs(self) -> dict[JobState, int]:
        """How many jobs are in each state; every state is named."""
        counted = self._counts("SELECT state, count(*) FROM jobs GROUP BY state")
        return {state: counted.get(state.value, 0) for state in JobState}

    def count_checks(self) -> dict[Outcome, int]:
        """How many verdicts there are of each outcome; every outcome is named."""
        counted = self._counts("SELECT outcome, count(*) FROM checks GROUP BY outcome")
        return {outcome: counted.get(outcome.value, 0) for outcome in Outcome}

    def count_failures(self) -> dict[str, int]:
        """How many videos failed, by error code."""
        return self._counts("SELECT code, count(*) FROM failures GROUP BY code ORDER BY code")

    def _one_job(self, condition: str, value: str) -> Job:
        statement = (
            f"SELECT {', '.join(JOB_COLUMNS)} FROM jobs WHERE {condition} "
            "ORDER BY created_at DESC, id DESC LIMIT 1"
        )
        rows = self._database.rows(statement, [value])
        if not rows:
            raise NotFound(f"there is no job for '{value}'")
        return to_job(rows[0])

    def _newest(
        self,
        columns: Sequence[str],
        table: str,
        conditions: list[str],
        values: list[Value],
        limit: int,
        cursor: str,
    ) -> list[Row]:
        """One row more than `limit` where there are more. Conditions hold no values."""
        if cursor:
            position = PagePosition.from_cursor(cursor)
            conditions = [*conditions, "(created_at, id) < (?, ?)"]
            values = [*values, position.created_at, position.id]
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        statement = (
            f"SELECT {', '.join(columns)} FROM {table} {where} "
            "ORDER BY created_at DESC, id DESC LIMIT ?"
        )
        return self._database.rows(statement, [*values, limit + 1])

    def _counts(self, statement: str) -> dict[str, int]:
        return {str(name): int(str(count)) for name, count in self._database.rows(statement)}


def utc_now() -> str:
    """ "2026-11-22T16:26:17.789Z"."""
    text = datetime.now(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def _insert(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    columns: Sequence[str],
    values: Sequence[Value],
) -> None:
    """Adds a row unless its primary key is there."""
    marks = ", ".join("?" for _ in columns)
    statement = f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({marks})"
    connection.execute(statement, list(values))


def _finish_job(
    connection: duckdb.DuckDBPyConnection, job_id: str, *, result_id: str, created: bool
) -> None:
    changes = "state = ?, finished_at = ?, result_id = ?, created = ?"
    values: list[Value] = [JobState.DONE.value, utc_now(), result_id, created]
    _update_job(connection, job_id, changes, values)


def _update_job(
    connection: duckdb.DuckDBPyConnection, job_id: str, changes: str, values: Sequence[Value]
) -> None:
    statement = f"UPDATE jobs SET {changes} WHERE id = ? RETURNING id"
    if not connection.execute(statement, [*values, job_id]).fetchall():
        raise NotFound(f"there is no job '{job_id}'", context={"job_id": job_id})


def _page(items: Sequence[Listed], limit: int) -> Page[Listed]:
    """The first `limit` items; a further one says that there are more pages."""
    if len(items) <= limit:
        return Page(items=tuple(items), next_cursor="")
    last = items[limit - 1]
    position = PagePosition(created_at=last.created_at, id=last.id)
    return Page(items=tuple(items[:limit]), next_cursor=position.cursor)
