"""Whether a file is as long as its container says, and where joined Matroska files begin.

A header may claim any duration. If pictures are missing because the file was cut off, its outermost
element goes beyond the end of the file; otherwise the claim is wrong and the pictures are all.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_EBML_MAGIC = b"\x1a\x45\xdf\xa3"
_SEGMENT_MAGIC = b"\x18\x53\x80\x67"
_RIFF_HEADER = struct.Struct("<4sI")
_DOC_TYPE = b"\x42\x82"  # every EBML header has this element
_MAX_EBML_HEADER = 256  # bytes, chosen; usual ones have 40
_CHUNK = 1 << 20  # bytes


def is_complete(path: str) -> bool:
    """Whether an AVI or Matroska file holds its outermost elements to their ends.

    False for other formats, and for elements of unknown size.
    """
    size = Path(path).stat().st_size
    with Path(path).open("rb") as file:
        head = file.read(12)
        file.seek(0)
        if head[:4] == b"RIFF" and head[8:] == b"AVI ":
            return _is_complete_avi(file, size)
        return head.startswith(_EBML_MAGIC) and _is_complete_matroska(file, size)


def matroska_starts(path: str) -> Iterator[int]:
    """Where the files begin that were joined to a Matroska file, in bytes.

    Segments of known sizes are skipped. One of unknown size ends at the next EBML header.
    """
    size = Path(path).stat().st_size
    with Path(path).open("rb") as file:
        if file.read(len(_EBML_MAGIC)) != _EBML_MAGIC:
            return
        start = 0
        while (end := _end_of_matroska(file, start)) < size:
            found = _next_header(file, end)
            if found is None:
                return
            start = found
            yield start


def _end_of_matroska(file: BinaryIO, start: int) -> int:
    """The end of the segment that begins at `start`; of unknown size: where its content begins."""
    file.seek(start + len(_EBML_MAGIC))
    file.seek(_read_size(file) or 0, 1)
    if file.read(len(_SEGMENT_MAGIC)) != _SEGMENT_MAGIC:
        return start + len(_EBML_MAGIC)
    length = _read_size(file)
    return file.tell() + (length or 0)


def _next_header(file: BinaryIO, start: int) -> int | None:
    """The next EBML header from `start` on."""
    file.seek(start)
    place, held = start, b""
    while chunk := file.read(_CHUNK):
        held += chunk
        at = held.find(_EBML_MAGIC)
        while at >= 0 and at + _MAX_EBML_HEADER <= len(held):
            if _DOC_TYPE in held[at : at + _MAX_EBML_HEADER]:
                return place + at
            at = held.find(_EBML_MAGIC, at + 1)
        dropped = at if at >= 0 else max(0, len(held) - len(_EBML_MAGIC))
        place, held = place + dropped, held[dropped:]
    return place if held.startswith(_EBML_MAGIC) and _DOC_TYPE in held else None


def _is_complete_avi(file: BinaryIO, size: int) -> bool:
    """AVI: one or more RIFF chunks, padded to even lengths."""
    end = 0
    while end < size:
        file.seek(end)
        header = file.read(_RIFF_HEADER.size)
        if len(header) < _RIFF_HEADER.size or header[:4] != b"RIFF":
            break
        length = _RIFF_HEADER.unpack(header)[1]
        if length == 0:  # a recorder that never finished
            return False
        end += _RIFF_HEADER.size + length + length % 2
    return end <= size + 1


def _is_complete_matroska(file: BinaryIO, size: int) -> bool:
    """Matroska, WebM: an EBML header, then a segment."""
    file.seek(len(_EBML_MAGIC))
    header = _read_size(file)
    if header is None:
        return False
    file.seek(header, 1)
    if file.read(len(_SEGMENT_MAGIC)) != _SEGMENT_MAGIC:
        return False
    length = _read_size(file)
    return length is not None and file.tell() + length <= size


def _read_size(file: BinaryIO) -> int | None:
    """The size of an EBML element (RFC 8794, section 4); None if it is unknown or invalid."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    more = 8 - first[0].bit_length()
    bits = 7 * (more + 1)
    value = int.from_bytes(first + file.read(more)) & ((1 << bits) - 1)
    return None if value == (1 << bits) - 1 else value
