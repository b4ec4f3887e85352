"""What the ledger asks of a database: transactions, reads, tables of the current version.

Statements are written once, in what DuckDB and PostgreSQL both read: `?` and `$name` stand for
values. `dubl/ledger/postgres.py` says where PostgreSQL differs.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from dubl.errors import StoreTooNew, StoreUnavailable
from dubl.ledger.schema import SCHEMA_VERSION, UPGRADES

logger = logging.getLogger(__name__)

Value = str | int | float | bool | Sequence[str]
Row = tuple[Any, ...]  # its values have the columns' types

# After a SELECT, in a transaction that other processes may run, too. To DuckDB, whose file has one
# holder, they are comments. The first waits for other transactions; the second passes over their
# rows.
LOCKED = "/* FOR UPDATE */"
UNLOCKED_ONES = "/* FOR UPDATE SKIP LOCKED */"


class Found(Protocol):
    """The rows of a statement."""

    def fetchone(self) -> Row | None: ...

    def fetchall(self) -> list[Row]: ...


class Connection(Protocol):
    """Runs statements in one transaction. Rows are fetched before the next statement."""

    def execute(
        self, statement: str, values: Sequence[object] | Mapping[str, object] = ..., /
    ) -> Found: ...

    def executemany(self, statement: str, values: Sequence[Sequence[object]], /) -> object: ...


class Database(ABC):
    """A database that threads may share. Methods raise StoreUnavailable.

    `place`: the path of a file, or the address of a server without its password.
    """

    place: str

    @abstractmethod
    def transaction(self, action: str) -> AbstractContextManager[Connection]:
        """A transaction: all its statements take effect, or none.

        When it ends, its changes are on disk. `action` says what failed: "record a job".
        """

    @abstractmethod
    def rows(self, statement: str, values: Sequence[Value] = ()) -> list[Row]:
        """The rows of a statement that changes nothing."""

    @abstractmethod
    def copy_to(self, path: Path) -> None:
        """Writes all tables, at one moment, to a new DuckDB file."""

    @abstractmethod
    def close(self) -> None:
        """Lets go of the database."""


@contextmanager
def translated(action: str, *errors: type[Exception]) -> Iterator[None]:
    """Translates a driver's errors into StoreUnavailable."""
    try:
        yield
    except errors as exc:
        raise StoreUnavailable(f"the ledger could not {action}: {exc}") from exc


def bring_up_to_date(connection: Connection, place: str) -> None:
    """Runs the missing upgrade steps in order; a new ledger needs all. Raises StoreTooNew."""
    connection.execute("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)")
    row = connection.execute("SELECT coalesce(max(version), 0) FROM schema_version").fetchone()
    stored = int(row[0]) if row is not None else 0
    if stored > SCHEMA_VERSION:
        raise StoreTooNew(
            f"the ledger {place} has version {stored} of its tables, this program knows "
            f"{SCHEMA_VERSION}",
            context={"stored_version": stored, "known_version": SCHEMA_VERSION},
        )
    for upgrade in UPGRADES:
        if upgrade.version <= stored:
            continue
        for statement in upgrade.statements:
            connection.execute(statement)
        connection.execute("INSERT INTO schema_version VALUES (?)", [upgrade.version])
        logger.info("upgraded the tables of the ledger %s to version %d", place, upgrade.version)
