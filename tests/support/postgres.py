"""A PostgreSQL cluster of its own, on loopback, for the time of a test session."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
import pytest

from pipelines.local_server import LOOPBACK, free_port

INSTALLED = "/usr/lib/postgresql/*/bin/initdb"  # where Debian puts it
START_S = 60.0
# What is written need not outlast the machine, only the server.
FAST = {
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "shared_buffers": "32MB",
}


class Cluster:
    """A running server."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self.port = free_port()
        self._binaries, self._folder = binaries, folder
        self._numbers = count()
        self._user = _unprivileged(folder)
        data = str(folder / "data")
        self._run("initdb", "-D", data, "-U", "dubl", "-A", "trust", "-E", "UTF8", "--no-sync")
        self.start()

    def start(self) -> None:
        options = [f"-c{name}={value}" for name, value in FAST.items()]
        command = [str(self._binaries / "postgres"), "-D", str(self._folder / "data"), *options]
        command += [f"-cport={self.port}", f"-clisten_addresses={LOOPBACK}"]
        command += [f"-cunix_socket_directories={self._folder}"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, user=self._user, cwd=self._folder
            )
        give_up_at = time.monotonic() + START_S
        while True:
            try:
                return psycopg.connect(self.url("postgres")).close()
            except psycopg.OperationalError:
                if time.monotonic() > give_up_at or self._process.poll() is not None:
                    pytest.fail((self._folder / "log").read_text())
                time.sleep(0.05)

    def stop(self) -> None:
        """At once; connections are cut."""
        self._process.send_signal(3)  # SIGQUIT: an immediate shutdown
        self._process.wait()

    def url(self, database: str) -> str:
        return f"postgresql://dubl@{LOOPBACK}:{self.port}/{database}"

    def make_database(self) -> str:
        """The address of a new database."""
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} STRATEGY file_copy".encode())
        return self.url(name)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._binaries / program), *arguments]
        subprocess.run(
            command, check=True, user=self._user, cwd=self._folder, stdout=subprocess.DEVNULL
        )


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Skips where PostgreSQL is not installed."""
    found = shutil.which("initdb") or next(map(str, sorted(Path("/").glob(INSTALLED[1:]))), None)
    if found is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    with tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as folder:
        cluster = Cluster(Path(found).parent, Path(folder))
        try:
            yield cluster
        finally:
            cluster.stop()


def _unprivileged(folder: Path) -> str | None:
    """The user to run as, who then owns the folder: the server refuses root."""
    if os.geteuid() != 0:
        return None
    user = next(
        name for name in ("postgres", "nobody") if name in {one.pw_name for one in pwd.getpwall()}
    )
    shutil.chown(folder, user)
    return user
