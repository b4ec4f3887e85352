"""Copies of the ledger's file in an object store, from which a lost file is restored.

Changes after the newest copy are lost with the file: jobs accepted since are unknown, and jobs
finished since run again. The library is elsewhere and keeps its content.
"""

from __future__ import annotations

import fcntl
import logging
import math
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from dubl.errors import StoreHeld, StoreUnavailable
from dubl.ledger.duckdb_file import log_of
from dubl.ledger.ledger import Ledger
from dubl.objects import ObjectFolder

logger = logging.getLogger(__name__)

# Names are the times at which the file had last been written; they sort like these.
NAME_FORMAT = "%Y%m%dT%H%M%S.%fZ.duckdb"
SUFFIX = ".duckdb"


class Snapshots:
    """Copies of one ledger, under one prefix of an object store."""

    def __init__(self, folder: ObjectFolder, *, keep: int) -> None:
        self._folder = folder
        self._keep = keep
        self._shipped: float | None = None

    def restore(self, path: Path) -> bool:
        """Restores the newest copy to `path` if the file is missing or older; returns whether it
        did.

        An older file occurs when a ledger moves to another node and back. Raises StoreUnavailable:
        an empty ledger must not replace an existing one. Raises StoreHeld while another process
        writes the file.
        """
        _require_free(path)
        names = self._names()
        if not names or _written_at(path) >= _time_of(names[-1]):
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.part")
        partial.unlink(missing_ok=True)
        self._folder.get(names[-1], partial)
        if path.exists():
            path.replace(path.with_name(f"{path.name}.old"))
        log_of(path).unlink(missing_ok=True)  # it belongs to the file that is replaced
        partial.replace(path)
        logger.warning("the ledger %s was missing or old; restored it from %s", path, names[-1])
        return True

    def ship(self, ledger: Ledger) -> bool:
        """Stores a copy if something was written since the last one; returns whether it did.

        The oldest copies beyond `keep` are removed. Raises StoreUnavailable.
        """
        path = Path(ledger.place)
        written_at = _written_at(path)
        if written_at == self._shipped:
            return False
        name = _name_of(written_at)
        with tempfile.TemporaryDirectory(prefix=".snapshot-", dir=path.parent) as folder:
            copy = Path(folder) / name
            ledger.copy_to(copy)
            self._folder.put(copy, name)
        self._shipped = written_at
        for old in self._names()[: -self._keep]:
            with suppress(StoreUnavailable):  # the next time
                self._folder.remove(old)
        return True

    def _names(self) -> list[str]:
        return sorted(item.name for item in self._folder.list() if item.name.endswith(SUFFIX))


def _name_of(written_at: float) -> str:
    """A name with the time of the last write; it must not be later than the copied content."""
    return datetime.fromtimestamp(math.floor(written_at * 1e6) / 1e6, UTC).strftime(NAME_FORMAT)


def _time_of(name: str) -> float:
    return datetime.strptime(name, NAME_FORMAT).replace(tzinfo=UTC).timestamp()


def _written_at(path: Path) -> float:
    """Time of the last write to the file or its log; a very early time if both are missing."""
    latest = float("-inf")
    for file in (path, log_of(path)):
        with suppress(FileNotFoundError):  # the log may be merged into the file at any moment
            latest = max(latest, file.stat().st_mtime)
    return latest


def _require_free(path: Path) -> None:
    """Raises StoreHeld if another process holds the file, by DuckDB's own fcntl lock."""
    try:
        with path.open("r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return
    except BlockingIOError as exc:
        raise StoreHeld(f"{path} is being written by another process") from exc
    except OSError as exc:
        raise StoreUnavailable(f"{path} cannot be opened: {exc}") from exc
