"""Webhooks to be delivered. They are written in the transaction that ends their job."""

from __future__ import annotations

from collections.abc import Sequence

from dubl.errors import NotFound
from dubl.ledger.clock import utc_now
from dubl.ledger.database import Database, Value
from dubl.ledger.records import DELIVERIES
from dubl.types import Delivery, DeliveryState, Page

# The host of an address, without user and port.
RECEIVER = r"lower(regexp_replace(url, '^\w+://(?:[^/?#]*@)?(\[[^\]]*\]|[^/?#:]*).*$', '\1'))"


GIVEN_UP = (
    "UPDATE deliveries SET state = 'failed', error = 'the service ended during the last attempt' "
    "WHERE state = 'pending' AND next_attempt_at <= ? AND attempts >= ?"
)


class Outbox:
    """The deliveries of a ledger. Methods raise StoreUnavailable if it cannot be used."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(
        self,
        *,
        limit: int,
        lease_s: float,
        under_way: Sequence[str] = (),
        at_once_to_one: int | None = None,
        max_attempts: int | None = None,
    ) -> tuple[Delivery, ...]:
        """Hands out due deliveries, and counts an attempt of each.

        Receivers take turns, each with its oldest first. With `at_once_to_one`, a receiver gets at
        most so many, with those to the addresses `under_way`. If the result is not recorded within
        `lease_s`, the attempt counts as lost. After `max_attempts` a delivery fails, whoever died
        with the last one.
        """
        # Asked again of each row: another process may have taken it meanwhile.
        due = "state = 'pending' AND next_attempt_at <= ?"
        statement = f"""
            WITH due AS (SELECT *, {RECEIVER} AS receiver FROM deliveries WHERE {due}),
            busy AS (SELECT {RECEIVER} AS receiver FROM unnest(?::VARCHAR[]) AS of_one(url)),
            placed AS (
                SELECT id, next_attempt_at, row_number() OVER (
                    PARTITION BY receiver ORDER BY next_attempt_at, id
                ) + (SELECT count(*) FROM busy WHERE busy.receiver = due.receiver) AS place FROM due
            )
            UPDATE deliveries SET attempts = attempts + 1, next_attempt_at = ? WHERE id IN (
                SELECT id FROM placed WHERE place <= ? ORDER BY place, next_attempt_at, id LIMIT ?
            ) AND {due} RETURNING {DELIVERIES.columns}"""
        most = limit if at_once_to_one is None else at_once_to_one
        now, later = utc_now(), utc_now(plus_s=lease_s)
        values: list[Value] = [now, list(under_way), later, most, limit, now]
        with self._database.transaction("hand out deliveries") as connection:
            connection.execute(GIVEN_UP, [now, max_attempts])
            rows = connection.execute(statement, values).fetchall()
        return tuple(sorted(DELIVERIES.objects(rows), key=lambda item: item.created_at))

    def delivered(self, delivery: Delivery, *, status: int) -> None:
        changes = "state = 'delivered', status = ?, error = '', delivered_at = ?"
        self._record(delivery, changes, [status, utc_now()])

    def failed(
        self, delivery: Delivery, *, status: int, error: str, retry_in_s: float | None
    ) -> None:
        """Records a failed attempt; without `retry_in_s` it was the last one."""
        if retry_in_s is None:
            changes = "state = 'failed', status = ?, error = ?"
            self._record(delivery, changes, [status, error])
            return
        changes = "status = ?, error = ?, next_attempt_at = ?"
        self._record(delivery, changes, [status, error, utc_now(plus_s=retry_in_s)])

    def replay(self, delivery_id: str) -> Delivery:
        """Makes a delivery due again, under its id, for another day. Raises NotFound."""
        with self._database.transaction("replay a delivery") as connection:
            rows = connection.execute(
                "UPDATE deliveries SET state = 'pending', next_attempt_at = ?, attempts = 0, "
                f"delivered_at = '' WHERE id = ? RETURNING {DELIVERIES.columns}",
                [utc_now(), delivery_id],
            ).fetchall()
            if not rows:
                raise NotFound(f"there is no delivery '{delivery_id}'")
        return DELIVERIES.object(rows[0])

    def _record(self, delivery: Delivery, changes: str, values: list[Value]) -> None:
        # An attempt that was taken for lost says nothing any more.
        with self._database.transaction("record a delivery") as connection:
            statement = (
                f"UPDATE deliveries SET {changes} "
                "WHERE id = ? AND attempts = ? AND state = 'pending'"
            )
            connection.execute(statement, [*values, delivery.id, delivery.attempts])

    def list(
        self,
        *,
        job_id: str = "",
        state: DeliveryState | None = None,
        limit: int = 100,
        cursor: str = "",
    ) -> Page[Delivery]:
        """A page, newest first. Raises InvalidRequest for an invalid cursor."""
        conditions: dict[str, Value] = {}
        if job_id:
            conditions["job_id = ?"] = job_id
        if state is not None:
            conditions["state = ?"] = state.value
        return DELIVERIES.newest(self._database, conditions, limit=limit, cursor=cursor)
