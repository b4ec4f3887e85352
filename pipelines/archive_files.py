"""Files of an archive's videos on this machine: local ones, or copies in the spool."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from dubl.errors import SourceNotFound
from dubl.media.links import fetch_link
from dubl.media.sources import hash_file
from dubl.media.spool import Spool, too_large
from dubl.settings import Settings
from dubl.types import VideoSource
from pipelines.archive_source import plain_text
from pipelines.object_store import fetch_object, is_object_uri


@contextmanager
def opened(path: str, settings: Settings) -> Iterator[VideoSource]:
    """The video's file; what was fetched is removed afterwards. Raises SourceError."""
    spool = Spool(settings.spool_dir, settings.media.max_size_bytes)
    if path.startswith(("http://", "https://")):
        source = fetch_link(path, spool_dir=settings.spool_dir, settings=settings.media)
    elif is_object_uri(path):
        source = fetch_object(path, spool, name=path)
    else:
        yield _local_file(path, settings.media.max_size_bytes)
        return
    try:
        yield replace(source, name=plain_text(path))
    finally:
        spool.remove(source)


def _local_file(path: str, max_size_bytes: int) -> VideoSource:
    file = Path(path)
    try:
        size_bytes = file.stat().st_size
        if not file.is_file():  # a pipe or a device would never end
            raise SourceNotFound("the path is not a file")
    except (OSError, ValueError) as exc:
        raise SourceNotFound(f"the file cannot be read: {exc}") from exc
    if size_bytes > max_size_bytes:
        raise too_large(max_size_bytes)
    return VideoSource(
        path=path, sha256=hash_file(file), size_bytes=size_bytes, name=plain_text(path)
    )
