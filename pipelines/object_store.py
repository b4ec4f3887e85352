"""Videos in an object store (s3, gs, abfs, hdfs) or behind a file:// address, by pyarrow."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import pyarrow as pa
from pyarrow import fs

from dubl.errors import SourceNotFound, SourceUnreachable
from dubl.media.spool import Spool
from dubl.objects import CHUNK_BYTES, open_system
from dubl.types import VideoSource

SCHEMES = ("s3", "gs", "gcs", "abfs", "abfss", "hdfs", "file")


def is_object_uri(text: str) -> bool:
    return text.partition("://")[0] in SCHEMES and "://" in text


def open_prefix(uri: str) -> tuple[fs.FileSystem, str]:
    """The file system and the path in it. Raises SourceNotFound, SourceUnreachable."""
    with _store_answers(uri):
        system, path = open_system(uri)
        if system.get_file_info(path).type == fs.FileType.NotFound:
            raise SourceNotFound(f"{uri} does not exist")
    return system, path


def list_objects(uri: str) -> Iterator[tuple[str, str]]:
    """Address of each object below a prefix, and its name there; in order of the names, one
    folder's names at a time."""
    system, root = open_prefix(uri)
    address, _, options = uri.partition("?")
    for path in _walk(system, root, uri):
        key = path[len(root) :].lstrip("/")
        joined = f"{address.rstrip('/')}/{quote(key)}" if key else address
        yield (f"{joined}?{options}" if options else joined), key or path


def fetch_object(uri: str, spool: Spool, *, name: str) -> VideoSource:
    """Copies an object into the spool. Raises SourceError, StoreUnavailable."""
    system, path = open_prefix(uri)
    with _store_answers(uri), system.open_input_stream(path) as stream, spool.writer(name) as file:
        shutil.copyfileobj(stream, file, CHUNK_BYTES)
        return file.commit()


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
        raise SourceNotFound(f"{uri} does not exist") from exc
    except (OSError, ValueError, pa.ArrowException) as exc:
        raise SourceUnreachable(f"the object store could not send {uri}: {exc}") from exc
