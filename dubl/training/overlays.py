"""Stickers and lines of text that edits lay over pictures, rendered once.

With a folder of PNG pictures (Debian's `openclipart-png`: 8 000 in the public domain) and one of
TrueType fonts they are many; without, they are those of dubl.footage, in Pillow's typeface.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dubl.footage.edits.overlay import sign, sticker
from dubl.footage.textures import words

TEXT_SIZE = (256, 32)  # width and height of a rendered line of text, pixels
STICKER_SIZE = 96
EMOJI_FONT = "NotoColorEmoji.ttf"
EMOJI_PIXELS = 109  # the only size that this font holds
EMOJI = (*range(0x1F300, 0x1F5FF), *range(0x1F600, 0x1F64F), *range(0x1F680, 0x1F6C5))
LETTERS = (range(0x41, 0x7B), range(0x410, 0x450), range(0x3B1, 0x3CA), range(0x30, 0x3A))
MAX_ASPECT = 3.0  # longer pictures are banners and rules
MAX_PIXELS = 4_000_000  # some clip art is as large as a poster
MIN_COVER = 0.15  # share of a sticker that is not transparent


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlays:
    """Masks of lines of text, uint8 [K, 32, 256], and stickers with alpha, uint8 [L, 96, 96, 4]."""

    texts: NDArray[np.uint8]
    stickers: NDArray[np.uint8]

    def write(self, path: Path) -> None:
        np.savez_compressed(path, texts=self.texts, stickers=self.stickers)

    @classmethod
    def read(cls, path: Path) -> Overlays:
        with np.load(path) as arrays:
            return cls(texts=arrays["texts"], stickers=arrays["stickers"])


def render_overlays(
    stickers: Path | None = None, fonts: Path | None = None, *, count: int = 512, seed: int = 0
) -> Overlays:
    """Draws `count` lines of text and up to four times as many stickers."""
    rng = np.random.default_rng(seed)
    faces = sorted(fonts.rglob("*.ttf")) if fonts is not None else []
    pictures = sorted(stickers.rglob("*.png")) if stickers is not None else []
    drawn = [
        np.asarray((sticker, sign)[place % 2](STICKER_SIZE, rng)) for place in range(count // 4)
    ]
    chosen = rng.permutation(len(pictures))[: 3 * count]
    read = [_picture_sticker(pictures[int(index)]) for index in chosen]
    emoji = _emoji(faces, rng, count=count // 2)
    texts = [_text_mask(rng, faces) for _ in range(count)]
    return Overlays(
        texts=np.stack(texts),
        stickers=np.stack([*drawn, *(one for one in [*read, *emoji] if _shows(one))]),
    )


def _text_mask(rng: np.random.Generator, faces: Sequence[Path]) -> NDArray[np.uint8]:
    image = Image.new("L", (TEXT_SIZE[0] * 3, TEXT_SIZE[1] * 2))
    face, line = ImageFont.load_default(28), words(int(rng.integers(1, 5)), rng)
    line = line.upper() if rng.random() < 0.3 else line
    if faces:
        face = ImageFont.truetype(str(faces[int(rng.integers(len(faces)))]), 28)
        letters = [chr(code) for code in LETTERS[int(rng.integers(len(LETTERS)))]]
        length = int(rng.integers(4, 24))
        line = "".join(rng.choice([*letters, " "], length)).strip() or "A"
        if not _has_glyphs(face, line):
            return _text_mask(rng, ())
    ImageDraw.Draw(image).text((4, 4), line, fill=255, font=face, stroke_width=int(rng.integers(2)))
    box = image.getbbox() or (0, 0, *TEXT_SIZE)
    return np.asarray(image.crop(box).resize(TEXT_SIZE))


def _has_glyphs(face: ImageFont.FreeTypeFont, line: str) -> bool:
    """Whether the font draws these letters and not the sign for missing ones."""
    missing = bytes(face.getmask("\uffff"))
    return all(bytes(face.getmask(letter)) != missing for letter in line.replace(" ", "")[:3])


def _picture_sticker(path: Path) -> NDArray[np.uint8]:
    """Empty where the picture is a banner or a poster."""
    empty = np.zeros((STICKER_SIZE, STICKER_SIZE, 4), np.uint8)
    with Image.open(path) as image:
        long, short = max(image.size), min(image.size)
        if long > MAX_ASPECT * short or long * short > MAX_PIXELS:
            return empty
        return np.asarray(image.convert("RGBA").resize((STICKER_SIZE, STICKER_SIZE)))


def _emoji(
    faces: Sequence[Path], rng: np.random.Generator, *, count: int
) -> list[NDArray[np.uint8]]:
    path = next((face for face in faces if face.name == EMOJI_FONT), None)
    if path is None:
        return []
    face, drawn = ImageFont.truetype(str(path), EMOJI_PIXELS), []
    for code in rng.permutation(EMOJI)[:count]:
        image = Image.new("RGBA", (136, 128), (0, 0, 0, 0))
        ImageDraw.Draw(image).text((0, 0), chr(code), font=face, embedded_color=True)
        drawn.append(np.asarray(image.resize((STICKER_SIZE, STICKER_SIZE))))
    return drawn


def _shows(sticker: NDArray[np.uint8]) -> bool:
    return bool((sticker[..., 3] > 0).mean() > MIN_COVER)
