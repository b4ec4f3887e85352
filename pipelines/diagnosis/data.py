"""Findings about the data folder: access, disk space, versions, and the process that holds it."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb

from dubl.assembly import feature_spec, make_store
from dubl.errors import DublError
from dubl.index.spaces import library_uri
from dubl.index.tables import is_folder
from dubl.ledger.schema import SCHEMA_VERSION
from dubl.settings import Settings
from pipelines.diagnosis.finding import Finding, fine, from_error, note, problem

LITTLE_BYTES, TOO_LITTLE_BYTES = 5 * 1024**3, 512 * 1024**2
GIB = 1024**3


def look_at_data(settings: Settings, spaces: Sequence[Settings]) -> Iterator[Finding]:
    """Findings about the data folder, and about the library in each feature space."""
    folder = settings.data_dir
    if not folder.is_dir():
        yield note("data folder", f"{folder} does not exist yet", "The service creates it.")
        return
    yield writable(folder)
    yield free_disk(folder)
    yield ledger(settings.ledger_path)
    yield from map(library, spaces)


def writable(folder: Path) -> Finding:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"dubl")
    except OSError as exc:
        return problem(
            "data folder",
            f"{folder} cannot be written: {exc.strerror}",
            "Make it writable for the service's user (`chown`), or choose another --data.",
        )
    return fine("data folder", f"{folder} is writable")


def free_disk(folder: Path) -> Finding:
    free_bytes = shutil.disk_usage(folder).free
    shown = f"{free_bytes / GIB:.1f} GiB free"
    if free_bytes < TOO_LITTLE_BYTES:
        return problem(
            "disk",
            shown,
            "Free disk space, or the service will soon refuse requests. `evidence.max_bytes` "
            "limits the size of evidence.",
        )
    if free_bytes < LITTLE_BYTES:
        return note("disk", shown, "Free disk space: uploads are stored here during their jobs.")
    return fine("disk", shown)


def ledger(path: Path) -> Finding:
    """The version of the ledger's tables, or the process that holds it."""
    if not path.exists():
        return note("ledger", f"{path} does not exist yet", "The service creates it.")
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            row = connection.execute("SELECT max(version) FROM schema_version").fetchone()
    except duckdb.IOException as exc:
        if "lock" in str(exc).lower():
            return note(
                "ledger",
                f"another process holds it: {_holder(str(exc))}",
                "This is normal while the service runs. Examine it with --url.",
            )
        return problem("ledger", str(exc), _RESTORE)
    except duckdb.Error as exc:
        return problem("ledger", str(exc), _RESTORE)
    version = int(row[0]) if row is not None else 0
    if version > SCHEMA_VERSION:
        return problem(
            "ledger",
            f"its tables have version {version}; this program supports {SCHEMA_VERSION}",
            "Use the newer program that wrote it, or restore an older back-up.",
        )
    if version < SCHEMA_VERSION:
        return note("ledger", f"tables of version {version}", "The next start upgrades them.")
    return fine("ledger", f"tables of version {version}, not in use")


def port(host: str, number: int) -> Finding:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
        except OSError as exc:
            return note(
                "port",
                f"{host}:{number} is not free: {exc.strerror}",
                "If a service runs there, examine it with --url. Else choose another --port.",
            )
    return fine("port", f"{host}:{number} is free")


def library(settings: Settings) -> Finding:
    """The library in the settings' feature space. Missing tables are not created."""
    try:
        uri = library_uri(settings.index_uri, feature_spec(settings), beside=settings.is_challenger)
        if is_folder(uri) and not any(Path(uri).glob("*.lance")):
            return _nothing_there(settings)
        store = make_store(settings, read_only=True)
        count, health = sum(store.libraries().values()), store.index_health()
    except DublError as exc:
        return from_error("library", exc)
    recall = "" if health.recall is None else f", recall {health.recall:.3f}"
    shown = f"{count} references, {health.frames} frames, search {health.index_type}{recall}"
    if health.recall is not None and health.recall < 0.9:
        return note("library", shown, "Retrain the index: `python -m pipelines.build_index`.")
    return fine("library", shown)


def _nothing_there(settings: Settings) -> Finding:
    if settings.is_challenger:
        return note(
            "library",
            f"the feature space of {settings.model.weights} is empty",
            "Fill it: `python -m pipelines.index_archive ARCHIVE --space candidate`.",
        )
    return note("library", "it is empty", "Add videos: `dubl references add`, `dubl index`.")


def _holder(text: str) -> str:
    """The process, from the middle of DuckDB's message."""
    start = text.find("held in")
    return text[start:].split(". ")[0] if start >= 0 else text.split("\n")[0]


_RESTORE = "Restore the last back-up into another folder: `dubl restore DIR --data NEW`."
