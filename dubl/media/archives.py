"""Zip archives of strangers. Names in them are labels and never become paths; sizes that they
claim are not believed."""

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

_CHUNK_BYTES = 1 << 20
# Videos are compressed already: a zip of them is about as large as they are.
_MAX_RATIO = 20
_MIN_JUDGED_BYTES = 1 << 20
_JUNK = ("__MACOSX/",)
# zipfile unpacks the others a megabyte of packed bytes at a time, whatever comes out of it.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# Whatever zipfile raises on damaged numbers: offsets before the file, lengths beyond it, odd names.
_UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError),
    NotImplementedError,
)
# The end record: signature, four counts, size of the directory, its offset, length of a comment.
_END = struct.Struct("<4s4H2LH")
_END_SIGNATURE = b"PK\x05\x06"
_ZIP64_LOCATOR = b"PK\x06\x07"
_ZIP64_LOCATOR_BYTES = 20
_MAX_COMMENT_BYTES = 1 << 16
_MAX_DIRECTORY_BYTES = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveEntry:
    """A video of an archive: in the spool, or why not."""

    name: str
    source: VideoSource | None = None
    error: DublError | None = None


def unpack(
    path: str, *, spool: Spool, max_entries: int, max_size_bytes: int
) -> tuple[ArchiveEntry, ...]:
    """Spools each file of a zip. What is wrong with one file is said in its entry.

    Raises UnsafeArchive for what is no zip, for names that lead out of it, links, passwords, too
    many files, and files that unpack to many times their size; SourceTooLarge when all together
    are larger than `max_size_bytes`; StoreUnavailable. Nothing is left in the spool then.
    """
    unpacked: list[ArchiveEntry] = []
    _require_small_directory(Path(path))
    try:
        with zipfile.ZipFile(path) as archive:
            left_bytes = max_size_bytes
            for member in _checked_members(archive, path, max_entries):
                entry = _spool_member(archive, member, spool, left_bytes)
                unpacked.append(entry)
                left_bytes -= entry.source.size_bytes if entry.source else 0
    except _UNREADABLE as exc:
        _discard(unpacked, spool)
        raise UnsafeArchive(f"the file is not a zip that can be read: {exc}") from exc
    except DublError:
        _discard(unpacked, spool)
        raise
    return tuple(unpacked)


def _require_small_directory(path: Path) -> None:
    """The directory is read into memory whole, whatever it counts: its size is looked at first.

    The end record is found as zipfile finds it.
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
        raise UnsafeArchive("zip64 archives are not taken")
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
        raise UnsafeArchive("the archive is packed in another way than by deflate")
    if member.flag_bits & 0x1:
        raise UnsafeArchive("the archive is protected by a password")


def _spool_member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, spool: Spool, left_bytes: int
) -> ArchiveEntry:
    limit_bytes = max(_MIN_JUDGED_BYTES, member.compress_size * _MAX_RATIO)
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
        detail = f"the file is damaged inside the archive: {exc}"
        return ArchiveEntry(name=member.filename, error=UnsafeArchive(detail))


def _discard(entries: Sequence[ArchiveEntry], spool: Spool) -> None:
    for entry in entries:
        if entry.source is not None:
            spool.remove(entry.source)
