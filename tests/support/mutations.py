"""Broken files made from whole ones, by seed."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence

EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
FRONTS = (
    b"#EXTM3U\n#EXTINF:5,\nhttp://127.0.0.1:9/a.ts\n",
    b"ffconcat version 1.0\nfile /etc/passwd\n",
    b"PK\x03\x04" + bytes(26),
    b"GIF89a\xff\xff\xff\xff\xf7\x00\x00",
    b"<html><script>",
    b"RIFF\xff\xff\xff\xffAVI ",
    b"\x1a\x45\xdf\xa3\x01\xff\xff\xff\xff\xff\xff\xff",
)
HEADER_BYTES = 4096


def mutated(seed: int, originals: Sequence[bytes]) -> bytes:
    """One of the originals with one to three kinds of damage."""
    rng = random.Random(seed)
    content = bytearray(rng.choice(originals))
    for damage in rng.choices(DAMAGES, k=rng.randint(1, 3)):
        damage(content, rng, originals)
        if not content:
            break
    return bytes(content)


Damage = Callable[[bytearray, random.Random, Sequence[bytes]], None]


def _flip_bits(content: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    for _step in range(rng.choice([1, 10, 100, 1000])):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def _spoil_header(content: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    """Numbers of the headers at either end get extreme values: sizes, rates, counts, offsets."""
    for _step in range(rng.choice([1, 3, 10])):
        place = rng.randrange(min(len(content), HEADER_BYTES))
        if rng.random() < 0.5:
            place = max(0, len(content) - 1 - place)
        number = struct.pack(rng.choice([">I", "<I"]), rng.choice(EXTREMES))
        content[place : place + 4] = number


def _cut(content: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    del content[rng.randrange(len(content)) :]


def _drop(content: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    start = rng.randrange(len(content))
    del content[start : start + rng.randrange(1, max(2, len(content) // 4))]


def _repeat(content: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    start = rng.randrange(len(content))
    part = content[start : start + rng.randrange(1, 20_000)]
    content[start:start] = part * rng.choice([1, 2, 20])


def _zero(content: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    start = rng.randrange(len(content))
    length = min(rng.randrange(1, 20_000), len(content) - start)
    content[start : start + length] = bytes(length)


def _graft(content: bytearray, rng: random.Random, originals: Sequence[bytes]) -> None:
    """A part of another file in the middle."""
    other = rng.choice(originals)
    start, place = rng.randrange(len(other)), rng.randrange(len(content))
    content[place:place] = other[start : start + rng.randrange(1, 50_000)]


def _front(content: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    """Something else before it: a polyglot."""
    content[0:0] = rng.choice(FRONTS)


DAMAGES: tuple[Damage, ...] = (
    _flip_bits,
    _spoil_header,
    _spoil_header,
    _cut,
    _drop,
    _repeat,
    _zero,
    _graft,
    _front,
)
