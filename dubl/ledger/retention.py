"""The end of what is stored: after its time, or on request; and legal holds, which prevent it.

A check is deleted with its matches, decisions, shadow verdict, jobs and webhooks.
"""

from __future__ import annotations

from collections.abc import Sequence

from dubl.errors import CheckNotFound, NotFound, StateConflict
from dubl.ledger.clock import utc_now
from dubl.ledger.database import Connection, Database
from dubl.ledger.endings import UNFINISHED
from dubl.ledger.records import HOLDS, marks
from dubl.settings import RetentionSettings
from dubl.types import Hold

ROWS_AT_ONCE = 200  # of one transaction; chosen, others wait for it
OF_HELD = "SELECT id FROM jobs WHERE subject_id IN (SELECT check_id FROM holds)"
OLD_CHECKS = """
SELECT id FROM checks WHERE created_at < ? AND id NOT IN (SELECT check_id FROM holds) LIMIT ?
"""
OLD_DELIVERIES = f"""
SELECT id FROM deliveries
WHERE created_at < ? AND state <> 'pending' AND job_id NOT IN ({OF_HELD}) LIMIT ?
"""
OLD_JOBS = f"""
SELECT id FROM jobs WHERE finished_at < ? AND NOT {UNFINISHED} AND id NOT IN ({OF_HELD})
    AND id NOT IN (SELECT job_id FROM deliveries WHERE state = 'pending') LIMIT ?
"""
OLD_ENTRIES = "SELECT id FROM audit WHERE created_at < ? LIMIT ?"


class Retention:
    """Retention in one ledger. Methods raise StoreUnavailable like the ledger's own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def hold(self, check_id: str, *, reason: str, by: str) -> Hold:
        """Keeps a check until its release; a second hold replaces the reason.

        Raises CheckNotFound.
        """
        kept = Hold(check_id=check_id, reason=reason, by=by, created_at=utc_now())
        with self._database.transaction("hold a check") as connection:
            _require_check(connection, check_id)
            HOLDS.put(connection, kept, replace=True)
        return kept

    def release(self, check_id: str) -> None:
        """Ends a hold. Raises NotFound if there is none."""
        with self._database.transaction("release a check") as connection:
            statement = "DELETE FROM holds WHERE check_id = ? RETURNING check_id"
            if not connection.execute(statement, [check_id]).fetchall():
                raise NotFound(f"check '{check_id}' is under no hold")

    def holds(self) -> tuple[Hold, ...]:
        """All holds, newest first."""
        statement = HOLDS.select("ORDER BY created_at DESC, check_id")
        return HOLDS.objects(self._database.rows(statement))

    def require_free(self, check_id: str) -> None:
        """Raises StateConflict if the check is under a hold."""
        if check_id in {one.check_id for one in self.holds()}:
            raise StateConflict(
                f"check '{check_id}' is under a legal hold", context={"check_id": check_id}
            )

    def delete_check(self, check_id: str) -> None:
        """Deletes a check. Raises CheckNotFound, and StateConflict if it is under a hold."""
        with self._database.transaction("delete a check") as connection:
            _require_check(connection, check_id)
            held = connection.execute("SELECT 1 FROM holds WHERE check_id = ?", [check_id])
            if held.fetchone():
                raise StateConflict(
                    f"check '{check_id}' is under a legal hold", context={"check_id": check_id}
                )
            _delete_checks(connection, [check_id])
            ended = f"subject_id = ? AND NOT {UNFINISHED}"
            connection.execute(
                f"DELETE FROM deliveries WHERE job_id IN (SELECT id FROM jobs WHERE {ended})",
                [check_id],
            )
            connection.execute(f"DELETE FROM jobs WHERE {ended}", [check_id])

    def sweep(self, settings: RetentionSettings) -> int:
        """Deletes what is older than the settings allow; returns the number of rows.

        It works in small transactions, so other calls hardly wait.
        """
        parts = (
            (OLD_CHECKS, "checks", settings.checks_s),
            (OLD_DELIVERIES, "deliveries", settings.deliveries_s),
            (OLD_JOBS, "jobs", settings.jobs_s),
            (OLD_ENTRIES, "audit", settings.audit_s),
        )
        return sum(self._sweep(statement, table, kept_s) for statement, table, kept_s in parts)

    def _sweep(self, statement: str, table: str, kept_s: float) -> int:
        before, deleted = utc_now(plus_s=-kept_s), 0
        while True:
            with self._database.transaction(f"delete old {table}") as connection:
                found = connection.execute(statement, [before, ROWS_AT_ONCE]).fetchall()
                ids = [str(row[0]) for row in found]
                if table == "checks":
                    _delete_checks(connection, ids)
                else:
                    _delete(connection, table, "id", ids)
            deleted += len(ids)
            if len(ids) < ROWS_AT_ONCE:
                return deleted


def _require_check(connection: Connection, check_id: str) -> None:
    if not connection.execute("SELECT 1 FROM checks WHERE id = ?", [check_id]).fetchone():
        raise CheckNotFound(f"there is no check '{check_id}'", context={"check_id": check_id})


def _delete_checks(connection: Connection, check_ids: Sequence[str]) -> None:
    for table in ("matches", "reviews", "shadows"):
        _delete(connection, table, "check_id", check_ids)
    _delete(connection, "checks", "id", check_ids)


def _delete(connection: Connection, table: str, column: str, values: Sequence[str]) -> None:
    if values:
        connection.execute(f"DELETE FROM {table} WHERE {column} IN ({marks(values)})", list(values))
