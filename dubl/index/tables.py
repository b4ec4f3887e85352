"""Opening and creating of the library's tables, and translation of LanceDB's errors."""

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
    audio_frames_name,
    audio_frames_schema,
    failures_schema,
    frames_schema,
    index_history_schema,
    references_schema,
    require_spec,
)
from dubl.types import FeatureSpec, SoundSpec

logger = logging.getLogger(__name__)

CREATE_LOCK = ".create.lock"
WRITE_LOCK = ".write.lock"
CONFLICT = "commit conflict"
COMMIT_ATTEMPTS = 8  # chosen
COMMIT_PAUSE_S = 0.02  # mean pause before the second attempt, doubled for each further; chosen
SETTLED_S = 3.0  # age of a new library in an object store before the first write; chosen
MAX_MAKERS = 16  # table versions up to which a library counts as new; chosen

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caches:
    """Bounds of LanceDB's caches in one process.

    Each commit leaves entries that are never read again, and a cache drops them only when it is
    full. LanceDB's defaults are 1 GiB for metadata and 6 GiB for indexes.
    """

    metadata_bytes: int
    index_bytes: int


SEARCH_CACHES = Caches(metadata_bytes=4 * 1024**2, index_bytes=2 * 1024**3)
# For a process that commits all day and only reads single rows.
WRITER_CACHES = Caches(metadata_bytes=2 * 1024**2, index_bytes=4 * 1024**2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """Open handles; each checks for newer versions once in the consistency interval.

    audio_frames: None if the library is opened without sound.
    """

    references: Table
    frames: Table
    failures: Table
    index_history: Table
    audio_frames: Table | None = None

    @property
    def searched(self) -> tuple[Table, ...]:
        """The tables of descriptors, whose rows belong to references."""
        return (self.frames,) if self.audio_frames is None else (self.frames, self.audio_frames)

    @property
    def all(self) -> tuple[Table, ...]:
        return (self.references, *self.searched, self.failures, self.index_history)


@contextmanager
def store_errors(action: str) -> Iterator[None]:
    """Translates LanceDB's errors into StoreUnavailable ("the library could not `action`")."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, NotImplementedError, pa.ArrowException) as exc:
        raise StoreUnavailable(f"the library could not {action}: {exc}") from exc


def committed(table: Table, commit: Callable[[], Result]) -> Result:
    """The result of `commit`, which is repeated after a conflict with another process.

    Lance rejects a commit if another one has rewritten the same data in the meantime. In a folder
    writers wait for each other, so this does not happen there.
    """
    for attempt in range(COMMIT_ATTEMPTS):
        try:
            return commit()
        except RuntimeError as exc:
            if CONFLICT not in str(exc):
                raise
            logger.info("commit conflict with another writer, attempt %d: %s", attempt + 1, exc)
            time.sleep(random.uniform(0, COMMIT_PAUSE_S * 2**attempt))
            table.checkout_latest()
    return commit()


def open_tables(
    uri: str,
    *,
    spec: FeatureSpec,
    sound: SoundSpec | None = None,
    consistency_interval_s: float,
    caches: Caches = SEARCH_CACHES,
) -> Tables:
    """Opens the tables and creates missing ones.

    Raises StoreUnavailable, and FeatureSpaceMismatch if the tables have another spec.
    """
    with store_errors(f"be opened at {uri}"):
        interval = timedelta(seconds=consistency_interval_s)
        connection = lancedb.connect(
            uri, read_consistency_interval=interval, session=session_of(caches)
        )
        _create_absent(connection, uri, spec, sound)
        tables = Tables(
            references=connection.open_table(REFERENCES),
            frames=connection.open_table(FRAMES),
            failures=connection.open_table(FAILURES),
            index_history=connection.open_table(INDEX_HISTORY),
            audio_frames=sound and connection.open_table(audio_frames_name(sound)),
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
    """One session for all libraries that a process opens with the same caches."""
    return lancedb.Session(
        index_cache_size_bytes=caches.index_bytes, metadata_cache_size_bytes=caches.metadata_bytes
    )


def _create_absent(
    connection: DBConnection, uri: str, spec: FeatureSpec, sound: SoundSpec | None
) -> None:
    """Creates missing tables.

    Two processes that create a table at the same time would replace each other's. In a folder a
    lock prevents this; in an object store they wait before they write (`_settle`).
    """
    schemas = {
        FAILURES: failures_schema(),
        INDEX_HISTORY: index_history_schema(),
        FRAMES: frames_schema(spec),
        REFERENCES: references_schema(spec),
    }
    if sound is not None:
        schemas[audio_frames_name(sound)] = audio_frames_schema(sound)
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
                logger.info("another process created the table: %s", exc)


def _settle(tables: Tables) -> None:
    """Waits until no process can replace the tables of a new library any more.

    In an object store Lance creates a table by overwriting. A process that checked just before
    another one created the table replaces it, with all rows. So nothing is written before the
    tables are SETTLED_S old. Tables with many versions are old enough.
    """
    made_last = (tables.references, tables.audio_frames)
    young = [one for one in made_last if one is not None and one.version <= MAX_MAKERS]
    if not young:
        return
    made = max(min(version["timestamp"] for version in one.list_versions()) for one in young)
    left_s = SETTLED_S - (datetime.now(tz=made.tzinfo) - made).total_seconds()
    if left_s > 0:
        logger.info("the library is new; waiting for other processes that may be creating it")
        time.sleep(min(left_s, SETTLED_S))
    for table in tables.all:
        table.checkout_latest()


def _add_absent_columns(references: Table, uri: str, spec: FeatureSpec) -> None:
    """Adds missing columns to a table of an older version, without rewriting its rows."""
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
    """Whether the library is in a folder, where files can be locked."""
    return "://" not in uri


def write_lock(uri: str) -> AbstractContextManager[None]:
    """A lock for writing processes, such as a job and the service; it ends with its process.

    An object store has none: see `insert` in dubl/index/writing.py.
    """
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
    """The names of all tables, over all pages."""
    names: set[str] = set()
    token: str | None = None
    while True:
        page = connection.list_tables(page_token=token)
        names.update(page.tables)
        token = page.page_token
        if not token:
            return names
