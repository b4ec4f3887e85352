"""Files in an object store, through pyarrow: spooled uploads, snapshots of the ledger, back-ups.

An address is `s3://bucket/prefix`; for other stores than Amazon's with `?region=`,
`endpoint_override=host:port` and `scheme=http`. `gs://…`, `abfs://…` and `file://…` work likewise.
Credentials come from the environment, as with the store's own tools.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from dubl.errors import ConfigurationError, DublError, SourceNotFound, StoreUnavailable

if TYPE_CHECKING:
    from pyarrow import fs

CONNECT_TIMEOUT_S = 10.0
REQUEST_TIMEOUT_S = 30.0
ATTEMPTS = 3
CHUNK_BYTES = 1 << 20


def is_object_address(text: str) -> bool:
    return "://" in text


def open_system(address: str) -> tuple[fs.FileSystem, str]:
    """The file system of an address, and the path in it. An unresponsive `s3` store times out.

    Raises ConfigurationError for credentials in the address, and pyarrow's errors.
    """
    from pyarrow import fs  # seconds of imports, for those who use a store

    if not address.startswith("s3://"):
        return fs.FileSystem.from_uri(address)  # type: ignore[no-any-return]
    parts = urlsplit(address)
    if parts.username or not parts.hostname:
        raise ConfigurationError(
            "an s3 address must have a bucket and no credentials. Set them in the environment."
        )
    options = dict(parse_qsl(parts.query))
    endpoint, region = options.get("endpoint_override"), options.get("region")
    system = fs.S3FileSystem(
        region=region or (None if endpoint else fs.resolve_s3_region(parts.netloc)),
        scheme=options.get("scheme", "https"),
        endpoint_override=endpoint,
        connect_timeout=CONNECT_TIMEOUT_S,
        request_timeout=REQUEST_TIMEOUT_S,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
    )
    return system, (parts.netloc + unquote(parts.path)).rstrip("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """An object; `modified_at` is in seconds since 1970."""

    name: str
    size_bytes: int
    modified_at: float


class ObjectFolder:
    """Objects under one prefix. Writes are atomic.

    Every method raises StoreUnavailable if the store fails.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.place = address.partition("?")[0].rstrip("/")

    @cached_property
    def _opened(self) -> tuple[fs.FileSystem, str]:
        return open_system(self.address)

    def put(self, path: Path, name: str) -> None:
        """Stores a file."""
        with self._answers(f"store {name}"), path.open("rb") as source:
            system, root = self._opened
            if not self.address.startswith("s3://"):
                system.create_dir(f"{root}/{name}".rpartition("/")[0])
            with system.open_output_stream(f"{root}/{name}") as target:
                shutil.copyfileobj(source, target, CHUNK_BYTES)
            if system.get_file_info(f"{root}/{name}").size != path.stat().st_size:
                raise OSError("the transfer was interrupted")

    def get(self, name: str, path: Path) -> None:
        """Downloads an object into a file. Raises SourceNotFound if it does not exist."""
        try:
            with self._answers(f"send {name}"), path.open("wb") as target:
                system, root = self._opened
                with system.open_input_stream(f"{root}/{name}") as source:
                    shutil.copyfileobj(source, target, CHUNK_BYTES)
        except DublError:
            path.unlink(missing_ok=True)
            raise

    def remove(self, name: str) -> None:
        """Removes an object; a missing one is ignored."""
        with self._answers(f"remove {name}"):
            system, root = self._opened
            try:
                system.delete_file(f"{root}/{name}")
            except FileNotFoundError:
                return

    def list(self) -> tuple[StoredObject, ...]:
        """All objects, sorted by name; empty for a missing prefix."""
        from pyarrow import fs

        with self._answers("list its objects"):
            system, root = self._opened
            selector = fs.FileSelector(root, recursive=True, allow_not_found=True)
            found = [info for info in system.get_file_info(selector) if info.is_file]
        return tuple(
            StoredObject(
                name=info.path[len(root) :].lstrip("/"),
                size_bytes=int(info.size),
                modified_at=info.mtime.timestamp(),
            )
            for info in sorted(found, key=lambda info: info.path)
        )

    @contextmanager
    def _answers(self, action: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as exc:
            raise SourceNotFound(f"{self.place} has no such object") from exc
        except (OSError, ValueError) as exc:  # ValueError: an address that pyarrow does not know
            raise StoreUnavailable(f"the store at {self.place} could not {action}: {exc}") from exc
