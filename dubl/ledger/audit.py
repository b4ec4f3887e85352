"""Who decided, changed, exported or deleted what over HTTP."""

from __future__ import annotations

from dubl.ledger.database import Database, Value
from dubl.ledger.records import AUDIT
from dubl.types import AuditEntry, Page


class Audit:
    """The audit log of a ledger. Methods raise StoreUnavailable if it cannot be used."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, entry: AuditEntry) -> None:
        with self._database.transaction("keep an audit log") as connection:
            AUDIT.put(connection, entry)

    def list(
        self, *, key_id: str = "", since: str = "", limit: int, cursor: str = ""
    ) -> Page[AuditEntry]:
        """Entries, newest first; of one key, or since a time. Raises InvalidRequest."""
        given = {"key_id = ?": key_id, "created_at >= ?": since}
        conditions: dict[str, Value] = {part: value for part, value in given.items() if value}
        return AUDIT.newest(self._database, conditions, limit=limit, cursor=cursor)
