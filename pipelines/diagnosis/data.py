"""The data folder: may it be written, does it fit the program, is there room, who holds it?"""

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
    """With the library in each feature space."""
    folder = settings.data_dir
    if not folder.is_dir():
        yield note("data folder", f"there is no {folder} yet", "The service makes it at its start.")
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
            "Give it to the user that runs the service: `chown`, or another --data.",
        )
    return fine("data folder", f"{folder} can be written")


def free_disk(folder: Path) -> Finding:
    free_bytes = shutil.disk_usage(folder).free
    shown = f"{free_bytes / GIB:.1f} GiB free"
    if free_bytes < TOO_LITTLE_BYTES:
        return problem(
            "disk",
            shown,
            "Make room: nothing can be accepted soon. `evidence.max_bytes` bounds what is kept to "
            "look at.",
        )
    if free_bytes < LITTLE_BYTES:
        return note("disk", shown, "Uploads lie here while they are worked on: make room.")
    return fine("disk", shown)


def ledger(path: Path) -> Finding:
    """Its version, or who holds it."""
    if not path.exists():
        return note("ledger", f"there is no {path} yet", "The service makes it at its start.")
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            row = connection.execute("SELECT max(version) FROM schema_version").fetchone()
    except duckdb.IOException as exc:
        if "lock" in str(exc).lower():
            return note(
                "ledger",
                f"another process holds it: {_holder(str(exc))}",
                "That is right while the service runs: then name it with --url.",
            )
        return problem("ledger", str(exc), _RESTORE)
    except duckdb.Error as exc:
        return problem("ledger", str(exc), _RESTORE)
    version = int(row[0]) if row is not None else 0
    if version > SCHEMA_VERSION:
        return problem(
            "ledger",
            f"its tables have version {version}, this program knows {SCHEMA_VERSION}",
            "Use the newer program that wrote it, or restore an older back-up.",
        )
    if version < SCHEMA_VERSION:
        return note("ledger", f"version {version} of its tables", "The next start brings it up.")
    return fine("ledger", f"version {version} of its tables, nobody holds it")


def port(host: str, number: int) -> Finding:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
        except OSError as exc:
            return note(
                "port",
                f"{host}:{number} is not free: {exc.strerror}",
                "A service may run there: look with --url. Else choose another with --port.",
            )
    return fine("port", f"{host}:{number} is free")


def library(settings: Settings) -> Finding:
    """In the settings' own feature space; opening it would make its tables where there are none."""
    try:
        uri = library_uri(settings.index_uri, feature_spec(settings), beside=settings.is_candidate)
        if is_folder(uri) and not any(Path(uri).glob("*.lance")):
            return _nothing_there(settings)
        store = make_store(settings, read_only=True)
        count, health = sum(store.libraries().values()), store.index_health()
    except DublError as exc:
        return from_error("library", exc)
    recall = "" if health.recall is None else f", recall {health.recall:.3f}"
    shown = f"{count} references, {health.frames} frames, search {health.index_type}{recall}"
    if health.recall is not None and health.recall < 0.9:
        return note("library", shown, "Train the index anew: `python -m pipelines.build_index`.")
    return fine("library", shown)


def _nothing_there(settings: Settings) -> Finding:
    if settings.is_candidate:
        return note(
            "library",
            f"nothing is in the feature space of {settings.model.weights}",
            "Fill it: `python -m pipelines.index_archive ARCHIVE --space candidate`.",
        )
    return note("library", "it is empty", "Add videos: `dubl references add`, `dubl index`.")


def _holder(text: str) -> str:
    """DuckDB names the process in the middle of a long sentence."""
    start = text.find("held in")
    return text[start:].split(". ")[0] if start >= 0 else text.split("\n")[0]


_RESTORE = "Restore the last back-up into another folder: `dubl restore DIR --data NEW`."
