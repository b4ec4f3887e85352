"""One service for a data folder: it holds a lock file there, which tells its address."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from dubl.errors import ConfigurationError, StoreHeld

NAME = "service.lock"
# Who asks for the address holds the lock for a moment; chosen.
TRIES, PAUSE_S = 5, 0.05


@contextmanager
def held_folder(folder: Path, address: str) -> Iterator[None]:
    """The folder for the duration of the block; the lock ends with the process, however it ends.

    Creates the folder. Raises StoreHeld at once while another service holds it, and
    ConfigurationError if it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / NAME).open("a+", encoding="utf-8")
    except OSError as exc:
        raise ConfigurationError(f"cannot write to the folder {folder}: {exc.strerror}.") from exc
    with file:
        if not any(_locked(file) for _ in range(TRIES)):
            raise StoreHeld(f"a service on {service_address(folder)} uses {folder}.")
        file.truncate(0)
        file.write(address)
        file.flush()
        yield


def _locked(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        time.sleep(PAUSE_S)
        return False
    return True


def service_address(folder: Path) -> str:
    """The address of the service that uses the folder; empty without one."""
    try:
        with (folder / NAME).open(encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read()
            return ""
    except OSError:
        return ""
