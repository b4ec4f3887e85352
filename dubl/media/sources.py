"""Videos on this machine's disk."""

from __future__ import annotations

import hashlib
from pathlib import Path

from dubl.errors import SourceForbidden, SourceNotFound
from dubl.media.kinds import is_fingerprint
from dubl.media.spool import too_large
from dubl.settings import MediaSettings
from dubl.types import VideoSource


def open_path(path: Path | str, *, settings: MediaSettings) -> VideoSource:
    """A file inside one of `settings.allowed_roots`, with links resolved. It is not copied.

    Raises SourceForbidden (for any path outside the roots, existing or not), SourceNotFound,
    SourceTooLarge.
    """
    try:
        file = Path(path).resolve()
        roots = [root.resolve() for root in settings.allowed_roots]
        is_file = file.is_file()
    except (OSError, RuntimeError, ValueError) as exc:  # endless links, a zero byte, too long
        raise SourceForbidden("the path cannot be resolved") from exc
    if not any(file.is_relative_to(root) for root in roots):
        raise SourceForbidden("the path is outside media.allowed_roots")
    if not is_file:
        raise SourceNotFound("the file does not exist")
    size_bytes = file.stat().st_size
    if size_bytes > settings.max_size_bytes:
        raise too_large(settings.max_size_bytes)
    return local_source(file, name=str(path))


def local_source(path: Path, *, name: str = "", sha256: str | None = None) -> VideoSource:
    """Any file of this machine, called by its own name or by `name`. Its hash is calculated unless
    it is given; "" leaves it out.

    Raises SourceNotFound.
    """
    digest = hash_file(path) if sha256 is None else sha256
    return VideoSource(
        path=str(path),
        sha256=digest,
        size_bytes=path.stat().st_size,
        name=name or path.name,
        fingerprint=is_fingerprint(path),
    )


def hash_file(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal. Raises SourceNotFound if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise SourceNotFound(f"the file cannot be read: {exc.strerror}") from exc
