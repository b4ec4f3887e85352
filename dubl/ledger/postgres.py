"""A ledger in PostgreSQL, which many processes share, and where its SQL differs from DuckDB's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.string import StrDumperUnknown
from psycopg_pool import ConnectionPool

from dubl.errors import ConfigurationError, InvalidRequest, StoreReadOnly
from dubl.ledger import clock
from dubl.ledger.database import (
    LOCKED,
    UNLOCKED_ONES,
    Connection,
    Database,
    Found,
    Row,
    Value,
    bring_up_to_date,
    translated,
)
from dubl.ledger.schema import COPIED_SECONDS, EARLIER_MATCHES
from dubl.settings import LedgerSettings

# What DuckDB reads, and what PostgreSQL reads instead.
DIFFERENCES = {
    LOCKED: "FOR UPDATE",
    UNLOCKED_ONES: "FOR UPDATE SKIP LOCKED",
    "CAST(request::JSON->'libraries' AS VARCHAR[])": "ARRAY(SELECT json_array_elements_text("
    "CASE json_typeof(request::JSON->'libraries') WHEN 'array' THEN request::JSON->'libraries' "
    "END))",
    EARLIER_MATCHES: "SELECT 1",  # no ledger here is so old
    COPIED_SECONDS: "SELECT 1",
}
# DuckDB reads its columns fast enough without.
INDEXES = (
    "jobs (rank, created_at, id) WHERE state IN ('queued', 'running')",
    "jobs (created_at DESC, id DESC)",
    "jobs (parent_id, state)",
    "jobs (subject_id)",
    "jobs (finished_at)",
    "checks (created_at DESC, id DESC)",
    "checks (query_sha256)",
    "matches (reference_id)",
    "reviews (check_id)",
    "deliveries (next_attempt_at) WHERE state = 'pending'",
    "deliveries (job_id)",
    "audit (created_at DESC, id DESC)",
    "matches (probability) WHERE state = 'open'",
    "reviews (reference_id)",
)
# The tables of a DuckDB file and their columns.
COLUMNS = """
SELECT table_name, array_agg(column_name) FROM information_schema.columns
WHERE table_name <> 'schema_version' AND table_schema = current_schema() GROUP BY 1
"""
ROWS_AT_ONCE = 1000  # of a copy; chosen
LOCK = 0x6475626C  # "dubl": of the tables' upgrade
READ_ONLY = ("read-only", "hot standby", "standby mode")  # in libpq's refusals


class Postgres(Database):
    """A pool of connections to one database. Each transaction has a connection of its own.

    Connections that were lost, as with a primary that went away, are replaced when they are found
    out: at most one call of each fails.
    """

    def __init__(self, url: str, settings: LedgerSettings) -> None:
        """Creates missing tables, and upgrades older ones under a lock.

        Raises StoreUnavailable, StoreReadOnly, StoreTooNew; ConfigurationError for a wrong `url`.
        """
        conninfo, self.place = _address(url, settings)
        with _errors("be opened"), psycopg.connect(conninfo, autocommit=True) as first:
            _prepare(first)
            with first.transaction():
                session = _Session(first)
                session.execute("SELECT pg_advisory_xact_lock(?)", [LOCK])
                bring_up_to_date(session, self.place)
                for number, index in enumerate(INDEXES):
                    name = f"{index.partition(' ')[0]}_{number}"
                    session.execute(f"CREATE INDEX IF NOT EXISTS {name} ON {index}")
        self._pool = ConnectionPool(
            conninfo,
            kwargs={"autocommit": True},
            min_size=1,
            max_size=settings.pool_size,
            configure=_prepare,
            timeout=settings.connect_timeout_s,
            name="ledger",
            open=True,
        )

    def close(self) -> None:
        self._pool.close()

    def copy_to(self, path: Path) -> None:
        from dubl.ledger.duckdb_file import DuckDbFile

        with closing(DuckDbFile(path)) as file, file.transaction("be copied") as target:
            tables = target.execute(COLUMNS).fetchall()
            with self._held(f"be copied to {path}") as source, source.transaction():
                source.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                for table, columns in tables:
                    names = ", ".join(columns)
                    marks = ", ".join("?" for _ in columns)
                    with source.cursor(name=table) as cursor:
                        cursor.execute(f"SELECT {names} FROM {table}".encode())
                        while rows := cursor.fetchmany(ROWS_AT_ONCE):
                            target.executemany(
                                f"INSERT INTO {table} ({names}) VALUES ({marks})", rows
                            )

    def require_empty(self) -> None:
        """Raises InvalidRequest if there is a row in any table."""
        with self._held("be looked at") as connection:
            for table, _columns in connection.execute(COLUMNS.encode()).fetchall():
                self._require_empty(connection, table)

    def _require_empty(self, connection: psycopg.Connection, table: str) -> None:
        if connection.execute(f"SELECT 1 FROM {table} LIMIT 1".encode()).fetchone():
            raise InvalidRequest(f"the ledger {self.place} is not empty: {table}")

    def fill_from(self, path: Path) -> None:
        """Takes all rows of a DuckDB file, or none. Raises InvalidRequest if it has rows."""
        from dubl.ledger.duckdb_file import DuckDbFile

        with closing(DuckDbFile(path)) as file, file.transaction("be read") as source:
            tables = source.execute(COLUMNS).fetchall()
            with self._held(f"be filled from {path}") as target, target.transaction():
                target.execute("SET LOCAL statement_timeout = 0")  # a table is one statement
                for table, columns in tables:
                    self._require_empty(target, table)
                    names = ", ".join(columns)
                    rows = source.execute(f"SELECT {names} FROM {table}")
                    into = f"COPY {table} ({names}) FROM STDIN".encode()
                    with target.cursor().copy(into) as copy:
                        while some := rows.fetchmany(ROWS_AT_ONCE):
                            for row in some:
                                copy.write_row(row)

    @contextmanager
    def transaction(self, action: str) -> Iterator[Connection]:
        # In a pipeline, statements whose rows nobody reads travel with the next one.
        with self._held(action) as connection, connection.pipeline(), connection.transaction():
            yield _Session(connection)

    def rows(self, statement: str, values: Sequence[Value] = ()) -> list[Row]:
        with self._held("be read") as connection:
            return _Session(connection).execute(statement, values).fetchall()

    @contextmanager
    def _held(self, action: str) -> Iterator[psycopg.Connection]:
        lost = False
        with _errors(action):
            try:
                with self._pool.connection() as connection:
                    try:
                        yield connection
                    except psycopg.errors.ReadOnlySqlTransaction:
                        connection.close()  # it has become a standby: the primary is looked for
                        raise
                    finally:
                        lost = connection.closed
            finally:
                if lost:
                    self._pool.check()  # others were lost with it


class _Session:
    """A connection that reads DuckDB's statements."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def execute(
        self, statement: str, values: Sequence[object] | Mapping[str, object] = (), /
    ) -> Found:
        return self._connection.execute(in_postgres(statement), values)

    def executemany(self, statement: str, values: Sequence[Sequence[object]], /) -> None:
        self._connection.cursor().executemany(in_postgres(statement), values)


class _Text(StrDumperUnknown):
    """PostgreSQL's texts cannot contain NUL."""

    def dump(self, obj: str) -> Buffer | None:
        return super().dump(obj.replace("\0", "\N{REPLACEMENT CHARACTER}"))


@lru_cache(maxsize=1024)
def in_postgres(statement: str) -> bytes:
    """A statement as psycopg and PostgreSQL read it."""
    for of_duckdb, of_postgres in DIFFERENCES.items():
        statement = statement.replace(of_duckdb, of_postgres)
    if statement.lstrip().startswith(("CREATE TABLE", "ALTER TABLE")):
        # Texts compare by their bytes, whatever the database's language: times must.
        statement = re.sub(r"\bVARCHAR(\[\])?", r'VARCHAR\1 COLLATE "C"', statement)
    return re.sub(r"'[^']*'|\?|\$\w+|%", _placeholder, statement).encode()


def _placeholder(found: re.Match[str]) -> str:
    """psycopg's text for a `?`, a `$name`, a literal or a percent sign."""
    text = found[0]
    if text == "?":
        return "%s"
    return f"%({text[1:]})s" if text[0] == "$" else text.replace("%", "%%")


def _address(url: str, settings: LedgerSettings) -> tuple[str, str]:
    """What libpq is given, and what may be told."""
    try:
        told = conninfo_to_dict(url)
    except psycopg.ProgrammingError as exc:
        raise ConfigurationError("ledger.url is no address that libpq knows") from exc
    limit_ms = round(settings.statement_timeout_s * 1000)
    limits = f"-c statement_timeout={limit_ms} -c lock_timeout={limit_ms} -c TimeZone=UTC"
    given: dict[str, Any] = {
        "sslmode": settings.tls,
        "application_name": "dubl",
        **told,
        "connect_timeout": round(settings.connect_timeout_s),
        "target_session_attrs": "read-write",
        "options": f"{told.get('options', '')} {limits}".strip(),
    }
    hosts = ",".join(str(told[key]) for key in ("host", "hostaddr") if key in told)
    return make_conninfo(**given), f"postgresql://{hosts}/{told.get('dbname', '')}"


def _prepare(connection: psycopg.Connection) -> None:
    """Sets a new connection up, and this process's clock by the server's."""
    connection.adapters.register_dumper(str, _Text)
    asked = datetime.now(UTC)
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None, "a SELECT without FROM has one row"
    clock.follow(row[0], asked=asked, answered=datetime.now(UTC))


@contextmanager
def _errors(action: str) -> Iterator[None]:
    """Raises StoreReadOnly where the server takes no changes, else StoreUnavailable."""
    with translated(action, psycopg.Error):
        try:
            yield
        except psycopg.errors.ReadOnlySqlTransaction as exc:
            raise StoreReadOnly(f"the ledger could not {action}: {exc}") from exc
        except psycopg.OperationalError as exc:
            if any(words in str(exc) for words in READ_ONLY):
                raise StoreReadOnly(
                    f"the ledger could not {action}: the server is a read-only standby"
                ) from exc
            raise
