"""Files taken in from outside lie in the spool until their video has been worked on."""

from __future__ import annotations

import hashlib
import logging
import os
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from dubl.errors import SourceTooLarge, StoreUnavailable
from dubl.types import VideoSource

logger = logging.getLogger(__name__)

_UNFINISHED = ".part"


class Spool:
    """A folder of spooled files. Their names are random, whatever the caller calls them."""

    def __init__(self, spool_dir: Path, max_size_bytes: int) -> None:
        self._folder = spool_dir
        self._max_size_bytes = max_size_bytes

    def writer(self, name: str) -> SpoolWriter:
        """Begins a file that the caller calls `name`. Raises StoreUnavailable."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            return SpoolWriter(self._folder / uuid.uuid4().hex, name, self._max_size_bytes)
        except OSError as exc:
            raise _unavailable(exc) from exc

    def remove(self, source: VideoSource) -> None:
        """Removes a spooled file; files elsewhere, and files already gone, are left alone."""
        path = Path(source.path)
        if path.parent.resolve() == self._folder.resolve():
            path.unlink(missing_ok=True)

    def remove_older_than(self, age_s: float, *, keep: Iterable[VideoSource] = ()) -> int:
        """Removes what a crash has left behind, but for `keep`; returns how many files."""
        if not self._folder.is_dir():
            return 0
        limit, count = time.time() - age_s, 0
        kept = {Path(source.path).name for source in keep}
        for path in self._folder.iterdir():
            if path.is_file() and path.name not in kept and path.stat().st_mtime < limit:
                path.unlink(missing_ok=True)
                count += 1
        if count:
            logger.info("removed %d old files from the spool", count)
        return count


class SpoolWriter:
    """A file in the making. `commit` makes it a VideoSource; leaving the `with` block without
    that removes it."""

    def __init__(self, path: Path, name: str, max_size_bytes: int) -> None:
        self._path = path
        self._part = path.with_suffix(_UNFINISHED)
        self._name = name
        self._max_size_bytes = max_size_bytes
        self._hash = hashlib.sha256()
        self._size_bytes = 0
        self._file = self._part.open("xb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.discard()

    def write(self, chunk: bytes) -> None:
        """Adds bytes. Raises SourceTooLarge, StoreUnavailable; the file is removed then."""
        size_bytes = self._size_bytes + len(chunk)
        if size_bytes > self._max_size_bytes:
            self.discard()
            raise too_large(self._max_size_bytes)
        try:
            self._file.write(chunk)
        except OSError as exc:
            self.discard()
            raise _unavailable(exc) from exc
        self._hash.update(chunk)
        self._size_bytes = size_bytes

    def commit(self) -> VideoSource:
        """Gives the file its final name in one step; by then it is on the disk, as the job that
        will name it is. Raises StoreUnavailable."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._part.replace(self._path)
        except OSError as exc:
            self.discard()
            raise _unavailable(exc) from exc
        return VideoSource(
            path=str(self._path.absolute()),
            sha256=self._hash.hexdigest(),
            size_bytes=self._size_bytes,
            name=self._name,
        )

    def discard(self) -> None:
        """Removes the unfinished file; nothing happens after `commit`."""
        try:
            self._file.close()  # may flush, and fail where the disk is full
        except OSError:
            logger.warning("an unfinished file of the spool did not close cleanly")
        self._part.unlink(missing_ok=True)


def too_large(limit_bytes: int) -> SourceTooLarge:
    return SourceTooLarge(
        f"the file has more than {limit_bytes} bytes", context={"limit_bytes": limit_bytes}
    )


def _unavailable(exc: OSError) -> StoreUnavailable:
    return StoreUnavailable(f"the spool folder cannot be written: {exc.strerror}")
