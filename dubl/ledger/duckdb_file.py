"""A ledger in a DuckDB file, which one process holds: opening, transactions, copies."""

from __future__ import annotations

import logging
import re
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from dubl.errors import StoreHeld, StoreUnavailable
from dubl.ledger.database import Database, Row, Value, bring_up_to_date, translated

logger = logging.getLogger(__name__)

# DuckDB 2.0 keeps a little in memory of each row that was written, until its file is closed: with
# a connection for each so many transactions, a process stays as small as it began.
TRANSACTIONS_PER_CONNECTION = 1000
NEVER = "1TB"  # size of the log at which it is merged into the file; larger than any


class DuckDbFile(Database):
    """One connection to a DuckDB file, which only this process may hold. Threads take turns.

    When `transaction` ends, its changes are in the write-ahead log and synced to disk.
    """

    def __init__(self, path: Path) -> None:
        """Creates missing file and tables; upgrades those of an older version, all or nothing.

        Raises StoreUnavailable; StoreHeld while another process holds the file; StoreTooNew.
        """
        self.path, self.place = path, str(path)
        self._lock = threading.Lock()
        self._copying = threading.Lock()
        self._closed = self._broken = self._frozen = False
        self._opened = 0
        self._transactions_left = TRANSACTIONS_PER_CONNECTION
        self._connection = _connect(path)
        try:
            with self.transaction("be set up") as connection:
                bring_up_to_date(connection, self.place)
        except StoreUnavailable:
            self._connection.close()
            raise

    def close(self) -> None:
        """Merges the log into the file and releases it for other processes."""
        with self._copying, self._lock, translated("be closed", duckdb.Error):
            self._closed = True
            self._connection.close()

    def copy_to(self, path: Path) -> None:
        """Writes all tables, at one moment, to a new DuckDB file. Other threads hardly wait.

        Meanwhile changes are only appended to the log, and the file stays as it is. So both can be
        copied without a lock. Raises StoreUnavailable.
        """
        with self._copying:
            with self._held(f"be copied to {path}") as connection:
                connection.execute(f"SET checkpoint_threshold = '{NEVER}'")
                opened, self._frozen = self._opened, True
            try:
                _copy_bytes(self.path, path)
                with self._held(f"be copied to {path}"):
                    log = log_of(self.path)
                    logged = log.stat().st_size if log.exists() else 0
                _copy_bytes(log, log_of(path), size=logged)
            finally:
                with self._held("go on after a copy") as connection:
                    self._frozen = False
                    connection.execute("RESET checkpoint_threshold")
            if opened != self._opened:
                raise StoreUnavailable("the ledger was opened anew while it was copied")
        with translated(f"be copied to {path}", duckdb.Error), _connect(path) as copied:
            copied.execute("CHECKPOINT")

    @contextmanager
    def transaction(self, action: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """A transaction: all its statements take effect, or none."""
        with self._held(action) as connection:
            self._transactions_left -= 1
            connection.begin()
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    def rows(self, statement: str, values: Sequence[Value] = ()) -> list[Row]:
        with self._held("be read") as connection:
            found: list[Row] = connection.execute(statement, list(values)).fetchall()
        return found

    @contextmanager
    def _held(self, action: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """The connection, for one thread.

        It is reopened after a number of transactions. It is also reopened if DuckDB has invalidated
        it, as after a checkpoint on a full disk; acknowledged changes are in the log.
        """
        with self._lock, translated(action, duckdb.Error):
            due = self._transactions_left <= 0 and not self._frozen
            if (due or self._broken) and not self._closed:
                self._connection.close()
                self._connection = _connect(self.path)
                self._transactions_left, self._broken = TRANSACTIONS_PER_CONNECTION, False
                self._opened += 1
                logger.info("reopened the ledger %s", self.path)
            try:
                yield self._connection
            except duckdb.FatalException:
                self._broken = True
                raise


def log_of(path: Path) -> Path:
    """The write-ahead log of a DuckDB file."""
    return path.with_name(f"{path.name}.wal")


def _copy_bytes(source: Path, target: Path, *, size: int | None = None) -> None:
    """Copies a file, or its first bytes, in a process of its own.

    Closing a file would release the lock that this process holds on it. The copy is written past
    the page cache if possible: otherwise the next sync of the log waits until all of it is on
    disk. Raises StoreUnavailable.
    """
    if size == 0:
        return
    counted = [] if size is None else ["iflag=count_bytes,fullblock", f"count={size}"]
    blocks = ["dd", "status=none", "bs=1M", f"if={source}", f"of={target}", *counted]
    shared = ["cp", "--reflink=always", "-T", "--", str(source), str(target)]
    for command in ([shared] if size is None else []) + [[*blocks, "oflag=direct"], blocks]:
        try:
            done = subprocess.run(command, stderr=subprocess.PIPE, check=False)
        except OSError as exc:
            raise StoreUnavailable(f"cannot copy {source}: {exc}") from exc
        if done.returncode == 0:
            return
    raise StoreUnavailable(f"cannot copy {source}: {done.stderr.decode().strip()}")


def _connect(path: Path) -> duckdb.DuckDBPyConnection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Statements are small: a second thread takes memory and saves no time.
        return duckdb.connect(str(path), config={"threads": 1})
    except duckdb.IOException as exc:
        if "lock on file" not in str(exc):
            raise StoreUnavailable(f"the ledger {path} cannot be opened: {exc}") from exc
        # DuckDB's text names the process that holds the file.
        holder = re.search(r"\(PID \d+\)", str(exc))
        raise StoreHeld(
            f"the ledger {path} is held by another process{f' {holder[0]}' if holder else ''}"
        ) from exc
    except (duckdb.Error, OSError) as exc:
        raise StoreUnavailable(f"the ledger {path} cannot be opened: {exc}") from exc
