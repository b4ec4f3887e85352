"""Whether a file is as long as its container says.

A header may claim any duration. If pictures are missing because the file was cut off, its outermost
element goes beyond the end of the file; otherwise the claim is wrong and the pictures are all.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

_EBML_MAGIC = b"\x1a\x45\xdf\xa3"
_SEGMENT_MAGIC = b"\x18\x53\x80\x67"
_RIFF_HEADER = struct.Struct("<4sI")


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
