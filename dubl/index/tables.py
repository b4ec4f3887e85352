"""Opening and creating the library's tables; the border where LanceDB's errors are translated."""

from __future__ import annotations

import fcntl
import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TypeVar

import lancedb
import pyarrow as pa
from lancedb.db import DBConnection
from lancedb.table import Table

from dubl.errors import StoreUnavailable
from dubl.index.schema import (
    FAILURES,
    FRAMES,
    INDEX_HISTORY,
    REFERENCES,
    failures_schema,
    frames_schema,
    index_history_schema,
    references_schema,
    require_spec,
)
from dubl.types import FeatureSpec

logger = logging.getLogger(__name__)

CREATE_LOCK = ".create.lock"
WRITE_LOCK = ".write.lock"
CONFLICT = "commit conflict"
COMMIT_ATTEMPTS = 8
COMMIT_PAUSE_S = 0.02
SETTLED_S = 3.0
MAX_MAKERS = 16

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caches:
    """What a process keeps of files and indexes. Each commit leaves entries behind that nobody
    reads again, and a cache gives them up only when it is full: a process grows until then.
    LanceDB's own bounds are 1 and 6 GiB."""

    metadata_bytes: int
    index_bytes: int


SEARCH_CACHES = Caches(metadata_bytes=4 * 1024**2, index_bytes=2 * 1024**3)
# Whoever commits all day and looks for single rows alone.
WRITER_CACHES = Caches(metadata_bytes=2 * 1024**2, index_bytes=4 * 1024**2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """Open handles; each looks for newer versions once in the consistency interval."""

    references: Table
    frames: Table
    failures: Table
    index_history: Table


@contextmanager
def store_errors(action: str) -> Iterator[None]:
    """Turns whatever LanceDB raises into StoreUnavailable."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, NotImplementedError, pa.ArrowException) as exc:
        raise StoreUnavailable(f"the library could not {action}: {exc}") from exc


def committed(table: Table, commit: Callable[[], Result]) -> Result:
    """The commit's result, after more attempts where another process was faster.

    Lance rejects commits that touch what another one, made meanwhile, has rewritten, and asks for
    a retry. In a folder writers wait for each other, and this does not happen.
    """
    for attempt in range(COMMIT_ATTEMPTS):
        try:
            return commit()
        except RuntimeError as exc:
            if CONFLICT not in str(exc):
                raise
            logger.info("another writer was faster, attempt %d: %s", attempt + 1, exc)
            time.sleep(random.uniform(0, COMMIT_PAUSE_S * 2**attempt))
            table.checkout_latest()
    return commit()


def open_tables(
    uri: str, *, spec: FeatureSpec, consistency_interval_s: float, caches: Caches = SEARCH_CACHES
) -> Tables:
    """Opens the tables, creating absent ones empty.

    Raises StoreUnavailable, or FeatureSpaceMismatch where they were made for another spec.
    """
    with store_errors(f"be opened at {uri}"):
        interval = timedelta(seconds=consistency_interval_s)
        connection = lancedb.connect(
            uri, read_consistency_interval=interval, session=session_of(caches)
        )
        _create_absent(connection, uri, spec)
        tables = Tables(
            references=connection.open_table(REFERENCES),
            frames=connection.open_table(FRAMES),
            failures=connection.open_table(FAILURES),
            index_history=connection.open_table(INDEX_HISTORY),
        )
        if not is_folder(uri):
            _settle(tables)
    require_spec(tables.references.schema, spec, where=f"{uri}/{REFERENCES}")
    require_spec(tables.frames.schema, spec, where=f"{uri}/{FRAMES}")
    with store_errors(f"bring the tables at {uri} up to date"):
        _add_absent_columns(tables.references, uri, spec)
    return tables


@cache
def session_of(caches: Caches) -> lancedb.Session:
    """One for all libraries that a process opens in the same way."""
    return lancedb.Session(
        index_cache_size_bytes=caches.index_bytes, metadata_cache_size_bytes=caches.metadata_bytes
    )


def _create_absent(connection: DBConnection, uri: str, spec: FeatureSpec) -> None:
    """Two processes that create one table at once would replace each other's: in a folder a lock
    keeps them apart, in an object store they wait before they write (`_settle`)."""
    schemas = {
        FAILURES: failures_schema(),
        INDEX_HISTORY: index_history_schema(),
        FRAMES: frames_schema(spec),
        REFERENCES: references_schema(spec),
    }
    if schemas.keys() <= table_names(connection):
        return
    with _creation_lock(uri):
        for name in schemas.keys() - table_names(connection):
            logger.info("creating the table %s at %s", name, uri)
            try:
                connection.create_table(name, schema=schemas[name], exist_ok=not is_folder(uri))
            except RuntimeError as exc:
                if CONFLICT not in str(exc):
                    raise
                logger.info("another process has created it: %s", exc)


def _settle(tables: Tables) -> None:
    """Waits until nobody replaces the tables of a new library any more.

    In an object store Lance makes a table by an overwrite: a process that looked before another one
    had made it replaces it, with all rows. So nobody writes before the tables are SETTLED_S old.
    Tables that have been written to, by their number of versions, are older.
    """
    if tables.references.version > MAX_MAKERS:
        return
    made = min(version["timestamp"] for version in tables.references.list_versions())
    left_s = SETTLED_S - (datetime.now(tz=made.tzinfo) - made).total_seconds()
    if left_s > 0:
        logger.info("the library is new; waiting until all that would make it have done so")
        time.sleep(min(left_s, SETTLED_S))
    for table in (tables.references, tables.frames, tables.failures, tables.index_history):
        table.checkout_latest()


def _add_absent_columns(references: Table, uri: str, spec: FeatureSpec) -> None:
    """Brings a table of an older version up to date; its rows are not rewritten."""
    wanted = references_schema(spec)
    if set(wanted.names) <= set(references.schema.names):
        return
    with _creation_lock(uri):
        references.checkout_latest()
        known = set(references.schema.names)
        absent = [field for field in wanted if field.name not in known]
        if absent:
            logger.info("adding columns to %s: %s", uri, ", ".join(one.name for one in absent))
            references.add_columns(absent)


def is_folder(uri: str) -> bool:
    """Whether the library lies where files can be locked."""
    return "://" not in uri


def write_lock(uri: str) -> AbstractContextManager[None]:
    """Keeps writing processes apart: a job and the service may write to one library. It ends with
    its process. In an object store there is none: see `insert` in
    dubl/index/writing.py."""
    return _folder_lock(Path(uri), WRITE_LOCK) if is_folder(uri) else nullcontext()


def _creation_lock(uri: str) -> AbstractContextManager[None]:
    return _folder_lock(Path(uri), CREATE_LOCK) if is_folder(uri) else nullcontext()


@contextmanager
def _folder_lock(folder: Path, name: str) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def table_names(connection: DBConnection) -> set[str]:
    """All of them, however many."""
    names: set[str] = set()
    token: str | None = None
    while True:
        page = connection.list_tables(page_token=token)
        names.update(page.tables)
        token = page.page_token
        if not token:
            return names
