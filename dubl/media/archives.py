"""Untrusted zip archives. Names in them never become paths, and claimed sizes are ignored."""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dubl.errors import DublError, UnsafeArchive
from dubl.media.spool import Spool, too_large
from dubl.types import VideoSource

_CHUNK_BYTES = 1 << 20  # read at once; chosen
# Unpacked over packed size; chosen. Videos are compressed already, so their ratio is about 1.
_MAX_RATIO = 20
_MIN_RATIO_BYTES = 1 << 20  # unpacked bytes below which the ratio is ignored; chosen
_JUNK = ("__MACOSX/",)
# With the other methods, zipfile unpacks a megabyte of packed bytes at once, of any result size.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# All that zipfile raises on damaged archives: wrong offsets, wrong lengths, unreadable names.
_UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError),
    NotImplementedError,
)
# The end record: signature, four counts, size of the directory, its offset, length of a comment.
_END = struct.Struct("<4s4H2LH")
_END_SIGNATURE = b"PK\x05\x06"
_ZIP64_LOCATOR = b"PK\x06\x07"
_ZIP64_LOCATOR_BYTES = 20  # by the zip format
_MAX_COMMENT_BYTES = 1 << 16  # by the zip format
_MAX_DIRECTORY_BYTES = 4 << 20  # chosen, bounds memory


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveEntry:
    """A file of an archive: its spooled video, or the error that prevented it."""

    name: str
    source: VideoSource | None = None
    error: DublError | None = None


def unpack(
    path: str, *, spool: Spool, max_entries: int, max_size_bytes: int
) -> tuple[ArchiveEntry, ...]:
    """Spools each file of a zip. The entry of a damaged file holds its error.

    Raises UnsafeArchive if the file is not a zip, or contains paths out of it, links, passwords,
    too many files, or files that unpack to many times their size. Raises SourceTooLarge if all
    files together exceed `max_size_bytes`; StoreUnavailable. After an error the spool is clean.
    """
    unpacked: list[ArchiveEntry] = []
    require_small_directory(Path(path))
    try:
        with zipfile.ZipFile(path) as archive:
            left_bytes = max_size_bytes
            for member in _checked_members(archive, path, max_entries):
                entry = _spool_member(archive, member, spool, left_bytes)
                unpacked.append(entry)
                left_bytes -= entry.source.size_bytes if entry.source else 0
    except _UNREADABLE as exc:
        _discard(unpacked, spool)
        raise UnsafeArchive(f"the file is not a readable zip: {exc}") from exc
    except DublError:
        _discard(unpacked, spool)
        raise
    return tuple(unpacked)


def require_small_directory(path: Path) -> None:
    """Refuses a large directory, as zipfile reads it into memory as a whole. Raises UnsafeArchive.

    The end record is found in the same way as by zipfile.
    """
    with path.open("rb") as file:
        size_bytes = path.stat().st_size
        file.seek(max(0, size_bytes - _END.size - _MAX_COMMENT_BYTES - _ZIP64_LOCATOR_BYTES))
        tail = file.read()
    at = len(tail) - _END.size
    if at < 0:
        raise UnsafeArchive("the file is too short to be a zip")
    if not (tail[at:].startswith(_END_SIGNATURE) and tail.endswith(b"\0\0")):
        at = tail.rfind(_END_SIGNATURE)
    if at < 0 or len(tail) < at + _END.size:
        raise UnsafeArchive("the file is not a zip")
    if tail[max(0, at - _ZIP64_LOCATOR_BYTES) : at].startswith(_ZIP64_LOCATOR):
        raise UnsafeArchive("the file is a zip64 archive, which is not supported")
    directory_bytes = _END.unpack_from(tail, at)[5]
    if directory_bytes > _MAX_DIRECTORY_BYTES:
        raise UnsafeArchive("the archive lists too many files")


def _checked_members(
    archive: zipfile.ZipFile, path: str, max_entries: int
) -> list[zipfile.ZipInfo]:
    if not all(member.filename for member in archive.infolist()):
        raise UnsafeArchive("a file in the archive has no name")
    members = [
        member
        for member in archive.infolist()
        if not member.is_dir() and not member.filename.startswith(_JUNK)
    ]
    if len(members) > max_entries:
        raise UnsafeArchive(f"the archive has more than {max_entries} files")
    for member in members:
        _require_plain(member)
    # Entries that share their bytes unpack a small file to a huge one.
    if sum(member.compress_size for member in members) > Path(path).stat().st_size:
        raise UnsafeArchive("files in the archive overlap")
    return members


def _require_plain(member: zipfile.ZipInfo) -> None:
    name = PurePosixPath(member.filename.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or ":" in "".join(name.parts[:1]):
        raise UnsafeArchive("a name in the archive leads out of it")
    if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
        raise UnsafeArchive("the archive has entries that are not plain files")
    if member.compress_type not in _METHODS:
        raise UnsafeArchive("the archive uses a compression other than deflate")
    if member.flag_bits & 0x1:
        raise UnsafeArchive("the archive is protected by a password")


def _spool_member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, spool: Spool, left_bytes: int
) -> ArchiveEntry:
    limit_bytes = max(_MIN_RATIO_BYTES, member.compress_size * _MAX_RATIO)
    try:
        with archive.open(member) as packed, spool.writer(member.filename) as writer:
            size_bytes = 0
            while chunk := packed.read(_CHUNK_BYTES):
                size_bytes += len(chunk)
                if size_bytes > limit_bytes:
                    raise UnsafeArchive("a file unpacks to many times its size")
                if size_bytes > left_bytes:
                    raise too_large(left_bytes)
                writer.write(chunk)
            return ArchiveEntry(name=member.filename, source=writer.commit())
    except _UNREADABLE as exc:
        detail = f"the file in the archive is damaged: {exc}"
        return ArchiveEntry(name=member.filename, error=UnsafeArchive(detail))


def _discard(entries: Sequence[ArchiveEntry], spool: Spool) -> None:
    for entry in entries:
        if entry.source is not None:
            spool.remove(entry.source)
