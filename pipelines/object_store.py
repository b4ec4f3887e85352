"""Videos in an object store (s3, gs, abfs, hdfs) or behind a file:// address, by pyarrow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import pyarrow as pa
from pyarrow import fs

from dubl.errors import InvalidRequest, SourceNotFound, SourceUnreachable
from dubl.media.spool import Spool
from dubl.types import VideoSource

SCHEMES = ("s3", "gs", "gcs", "abfs", "abfss", "hdfs", "file")
CHUNK_BYTES = 1 << 20
CONNECT_TIMEOUT_S = 10.0
REQUEST_TIMEOUT_S = 30.0
ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundObject:
    """An object: its whole address, and its name below the prefix."""

    uri: str
    key: str


def is_object_uri(text: str) -> bool:
    return text.partition("://")[0] in SCHEMES and "://" in text


def open_prefix(uri: str) -> tuple[fs.FileSystem, str]:
    """The file system and the path in it. Raises SourceNotFound, SourceUnreachable."""
    with _store_answers(uri):
        system, path = _s3(uri) if uri.startswith("s3://") else fs.FileSystem.from_uri(uri)
        if system.get_file_info(path).type == fs.FileType.NotFound:
            raise SourceNotFound(f"there is nothing at {uri}")
    return system, path


def list_objects(uri: str) -> Iterator[FoundObject]:
    """All objects below a prefix in order of their names, one folder's names at a time."""
    system, root = open_prefix(uri)
    address, _, options = uri.partition("?")
    for path in _walk(system, root, uri):
        key = path[len(root) :].lstrip("/")
        joined = f"{address.rstrip('/')}/{quote(key)}" if key else address
        yield FoundObject(uri=f"{joined}?{options}" if options else joined, key=key or path)


def fetch_object(uri: str, spool: Spool, *, name: str) -> VideoSource:
    """Copies an object into the spool. Raises SourceError, StoreUnavailable."""
    system, path = open_prefix(uri)
    with _store_answers(uri), system.open_input_stream(path) as stream, spool.writer(name) as file:
        while chunk := stream.read(CHUNK_BYTES):
            file.write(chunk)
        return file.commit()


def _s3(uri: str) -> tuple[fs.FileSystem, str]:
    """Like `from_uri`, with limits of time: a store that takes a connection and says nothing would
    hold the job for ever. Options are `region`, `scheme` and `endpoint_override`."""
    parts = urlsplit(uri)
    if parts.username or not parts.hostname:
        raise InvalidRequest("an s3 address holds a bucket and no credentials: see the environment")
    options = dict(parse_qsl(parts.query))
    endpoint = options.get("endpoint_override")
    region = options.get("region")
    system = fs.S3FileSystem(
        region=region or (None if endpoint else fs.resolve_s3_region(parts.netloc)),
        scheme=options.get("scheme", "https"),
        endpoint_override=endpoint,
        connect_timeout=CONNECT_TIMEOUT_S,
        request_timeout=REQUEST_TIMEOUT_S,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
    )
    return system, parts.netloc + unquote(parts.path)


def _walk(system: fs.FileSystem, folder: str, uri: str) -> Iterator[str]:
    with _store_answers(uri):
        info = system.get_file_info(folder)
        found = [info] if info.is_file else system.get_file_info(fs.FileSelector(folder))
    for entry in sorted(found, key=lambda entry: entry.path):
        if entry.type == fs.FileType.Directory:
            yield from _walk(system, entry.path, uri)
        else:
            yield str(entry.path)


@contextmanager
def _store_answers(uri: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as exc:
        raise SourceNotFound(f"there is nothing at {uri}") from exc
    except (OSError, pa.ArrowException) as exc:
        raise SourceUnreachable(f"the store does not give {uri}: {exc}") from exc
