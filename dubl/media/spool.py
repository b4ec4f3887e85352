"""The spool: received files wait here until their job is done.

It is a folder that all nodes share, or an object store, to which each received file is moved.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from dubl.closing import Closing
from dubl.errors import SourceNotFound, SourceTooLarge, StoreUnavailable
from dubl.media.kinds import is_fingerprint
from dubl.objects import ObjectFolder
from dubl.types import VideoSource

logger = logging.getLogger(__name__)

_UNFINISHED = ".part"


class Spool:
    """Spooled files, under random names.

    With `remote`, the folder holds only files that this node is receiving or reading; all others
    are in the object store.
    """

    def __init__(
        self, spool_dir: Path, max_size_bytes: int, remote: ObjectFolder | None = None
    ) -> None:
        self._folder = spool_dir
        self._max_size_bytes = max_size_bytes
        self._remote = remote

    @property
    def place(self) -> str:
        """The prefix of the paths of spooled files."""
        return str(self._folder.absolute()) if self._remote is None else self._remote.place

    def writer(self, name: str) -> SpoolWriter:
        """Starts a file with the caller's name `name`. Raises StoreUnavailable."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._folder / uuid.uuid4().hex
            return SpoolWriter(path, name, self._max_size_bytes, done=self.share)
        except OSError as exc:
            raise _unavailable(exc) from exc

    def share(self, source: VideoSource) -> VideoSource:
        """Makes a file of the folder available to all nodes.

        Raises StoreUnavailable; then the file is removed.
        """
        if self._remote is None:
            return source
        path = Path(source.path)
        try:
            self._remote.put(path, path.name)
        finally:
            path.unlink(missing_ok=True)
        return replace(source, path=f"{self.place}/{path.name}")

    @contextmanager
    def local(self, source: VideoSource) -> Iterator[VideoSource]:
        """The same video as a file on this node, for the duration of the block.

        Raises SourceNotFound, StoreUnavailable.
        """
        if self._remote is None or not self._holds(source):
            yield source
            return
        path = self._folder / uuid.uuid4().hex
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._remote.get(source.path.rpartition("/")[2], path)
            yield replace(source, path=str(path.absolute()))
        finally:
            path.unlink(missing_ok=True)

    def remove(self, source: VideoSource) -> None:
        """Removes a spooled file. Files elsewhere and missing files are ignored.

        If the object store fails, the reconciler removes the file later.
        """
        path = Path(source.path)
        if self._remote is not None and self._holds(source):
            try:
                self._remote.remove(path.name)
            except StoreUnavailable as exc:
                logger.warning("%s", exc.detail)
        elif path.parent.resolve() == self._folder.resolve():
            path.unlink(missing_ok=True)

    def copy_to(self, folder: Path) -> None:
        """Copies all files into a new folder. Raises StoreUnavailable.

        A file that disappears during the copy belongs to a job that has just ended, so it is not
        needed.
        """
        folder.mkdir()
        if self._remote is not None:
            for item in self._remote.list():
                with suppress(SourceNotFound):
                    self._remote.get(item.name, folder / item.name)
            return
        for path in sorted(self._folder.glob("*")) if self._folder.is_dir() else ():
            if path.is_file() and not path.suffix:
                with suppress(FileNotFoundError):
                    shutil.copyfile(path, folder / path.name)

    def take_back(self, folder: Path) -> None:
        """Restores a copy made by `copy_to`; a missing folder is an empty copy.

        Raises StoreUnavailable.
        """
        for path in sorted(folder.glob("*")):
            if self._remote is not None:
                self._remote.put(path, path.name)
            else:
                self._folder.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, self._folder / path.name)

    def _holds(self, source: VideoSource) -> bool:
        return source.path.rpartition("/")[0] == self.place

    def remove_older_than(self, age_s: float, *, keep: Iterable[VideoSource] = ()) -> int:
        """Removes old files that a crash has left, except `keep`; returns their number.

        Raises StoreUnavailable.
        """
        limit, count = time.time() - age_s, 0
        kept = {Path(source.path).name for source in keep}
        for path in self._folder.iterdir() if self._folder.is_dir() else ():
            if path.is_file() and path.name not in kept and path.stat().st_mtime < limit:
                path.unlink(missing_ok=True)
                count += 1
        if self._remote is not None:
            for item in self._remote.list():
                if item.name not in kept and item.modified_at < limit:
                    self._remote.remove(item.name)
                    count += 1
        if count:
            logger.info("removed %d old files from the spool", count)
        return count


class SpoolWriter(Closing):
    """An unfinished file. `commit` turns it into a VideoSource; leaving the `with` block without
    `commit` removes it."""

    def __init__(
        self,
        path: Path,
        name: str,
        max_size_bytes: int,
        *,
        done: Callable[[VideoSource], VideoSource],
    ) -> None:
        self._path = path
        self._done = done
        self._part = path.with_suffix(_UNFINISHED)
        self._name = name
        self._max_size_bytes = max_size_bytes
        self._hash = hashlib.sha256()
        self._size_bytes = 0
        self._file = self._part.open("xb")

    def close(self) -> None:
        self.discard()

    def write(self, chunk: bytes) -> None:
        """Adds bytes. Raises SourceTooLarge, StoreUnavailable; then the file is removed."""
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
        """Flushes the file to disk, gives it its final name atomically, and shares it.

        Raises StoreUnavailable.
        """
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._part.replace(self._path)
        except OSError as exc:
            self.discard()
            raise _unavailable(exc) from exc
        source = VideoSource(
            path=str(self._path.absolute()),
            sha256=self._hash.hexdigest(),
            size_bytes=self._size_bytes,
            name=self._name,
            fingerprint=is_fingerprint(self._path),
        )
        return self._done(source)

    def discard(self) -> None:
        """Removes the unfinished file; nothing happens after `commit`."""
        try:
            self._file.close()  # may flush, and fail where the disk is full
        except OSError:
            logger.warning("an unfinished file of the spool could not be closed cleanly")
        self._part.unlink(missing_ok=True)


def too_large(limit_bytes: int) -> SourceTooLarge:
    return SourceTooLarge(
        f"the file is larger than the limit of {limit_bytes:,} bytes",
        context={"limit_bytes": limit_bytes},
    )


def _unavailable(exc: OSError) -> StoreUnavailable:
    return StoreUnavailable(f"the spool folder cannot be written: {exc.strerror}")
