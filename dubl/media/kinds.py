"""Which files of a folder are videos. Files with usual suffixes are not opened for that."""

from __future__ import annotations

from pathlib import Path

FINGERPRINT_TYPE = "application/vnd.dubl.fingerprint"
FINGERPRINT_SUFFIX = ".dubl"
VIDEO_SUFFIXES = frozenset(
    {
        FINGERPRINT_SUFFIX,
        ".mp4",
        ".mkv",
        ".webm",
        ".avi",
        ".mov",
        ".wmv",
        ".m4v",
        ".ts",
        ".flv",
        ".mpg",
        ".mpeg",
    }
)
# Of the formats that the decoder takes: places and bytes at the begin of a file.
_FINGERPRINT = (38, FINGERPRINT_TYPE.encode())  # behind the name of a zip's first member
_SIGNATURES = (
    _FINGERPRINT,
    *((4, box) for box in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp")),
    (0, b"\x1a\x45\xdf\xa3"),  # Matroska, WebM
    (8, b"AVI "),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),  # ASF
    (0, b"FLV\x01"),
    (0, b"GIF8"),
    (0, b"DKIF"),  # IVF
    (0, b"\x00\x00\x01\xba"),  # MPEG program stream
    (0, b"OggS"),
    (0, b"\x06\x0e\x2b\x34"),  # MXF
)
# ISO files of pictures or sound alone, by the brand at byte 8.
_OTHER_BRANDS = (b"heic", b"heix", b"mif1", b"crx ", b"M4A ", b"M4B ")
# MPEG transport stream: a byte at the begin of each packet, which a recorder's time may precede.
_SYNC, _PACKETS = 0x47, ((0, 188), (4, 192))
_HEAD_BYTES = 256


def videos_in(folder: Path) -> list[Path]:
    """The videos below a folder, sorted."""
    return sorted(one for one in folder.rglob("*") if one.is_file() and is_video(one))


def is_video(path: Path) -> bool:
    """Whether a file is one by its suffix or, with any other, by its first bytes. One that cannot
    be read is one: reading it will say why."""
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            return begins_as_video(file.read(_HEAD_BYTES))
    except OSError:
        return True


def is_fingerprint(path: Path) -> bool:
    """Whether a file begins as a fingerprint; not if it cannot be read."""
    at, magic = _FINGERPRINT
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return False
    return head.startswith(b"PK\x03\x04") and head[at : at + len(magic)] == magic


def begins_as_video(head: bytes) -> bool:
    """Whether these first bytes are those of a format that the decoder takes."""
    if head[4:8] == b"ftyp" and head[8:12] in _OTHER_BRANDS:
        return False
    if any(head[at : at + len(magic)] == magic for at, magic in _SIGNATURES):
        return True
    return any(
        len(head) > at + size and head[at] == head[at + size] == _SYNC for at, size in _PACKETS
    )
