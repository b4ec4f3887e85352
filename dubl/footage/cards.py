"""Cards that turn up in many videos without being copied: titles, slides, credits, test pictures.

Hard negatives of attack suites are made of them. The descriptors of `common_pictures` are the
background bank against which a similarity is judged (dubl/matching/score_normalization.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from dubl.footage.textures import Color, as_color, gradient, palette, procedural_picture, words
from dubl.footage.video_file import Image, Size

WIDE = (284, 160)  # common pictures are drawn at 16:9, then squashed as frames are


def title(ground: PillowImage.Image, letter: float, rng: np.random.Generator) -> PillowImage.Image:
    """Two words in the middle of a copy of the ground, `letter` pixels high."""
    card = ground.copy()
    middle, font = (card.width / 2, card.height / 2), ImageFont.load_default(letter)
    ImageDraw.Draw(card).text(middle, words(2, rng), fill="white", font=font, anchor="mm")
    return card


def slide(
    ground: PillowImage.Image, colors: NDArray[np.uint8], rng: np.random.Generator
) -> PillowImage.Image:
    """A heading on a bar, three to seven lines on paper below it; `colors` [3, 3]."""
    page = ground.copy()
    width, height = page.size
    pen = ImageDraw.Draw(page)
    shades = (colors[0] // 2, colors[1] // 5, 255 - colors[2] // 4)
    bar, ink, paper = (as_color(row) for row in shades)
    pen.rectangle((0, 0, width, height * 0.18), fill=bar)
    pen.rectangle((width * 0.06, height * 0.24, width * 0.94, height * 0.92), fill=paper)
    head, body = ImageFont.load_default(height / 9), ImageFont.load_default(height / 16)
    pen.text((width * 0.05, height * 0.03), words(3, rng), fill="white", font=head)
    for line in range(int(rng.integers(3, 8))):
        place = (width * 0.1, height * (0.28 + 0.08 * line))
        pen.text(place, f"- {words(5, rng)}", fill=ink, font=body)
    return page


def credits_roll(size: Size, letter: float, pitch: float, rng: np.random.Generator) -> Image:
    """White names in two columns over black, three times as high as `size`, to be rolled up.

    letter, pitch: height of a letter and of a line in pixels.
    """
    width, height = size
    roll = PillowImage.new("RGB", (width, height * 3))
    pen, font = ImageDraw.Draw(roll), ImageFont.load_default(letter)
    for y in np.arange(height * 0.6, height * 2.8, pitch):
        pen.text((width * 0.48, y), words(1, rng), fill=(190, 190, 190), font=font, anchor="ra")
        pen.text((width * 0.52, y), words(2, rng), fill="white", font=font)
    return np.asarray(roll)


def common_pictures(count: int, *, size: int, seed: int = 0) -> NDArray[np.uint8]:
    """uint8 [count, size, size, 3]: common ones of every kind in turn, then procedural ones."""
    rng = np.random.default_rng(seed)
    kinds: Sequence[Callable[[np.random.Generator], PillowImage.Image]] = (
        _flat,
        lambda rng: gradient(WIDE, rng),
        _credits,
        _credits,
        _title,
        _title,
        lambda rng: slide(gradient(WIDE, rng), palette(3, rng), rng),
        _color_bars,
        _countdown,
        _static,
    )
    pictures: list[Image] = []
    for place in range(count):
        if place % 4 == 3:
            pictures.append(procedural_picture(rng, size=size))
            continue
        card = kinds[place % len(kinds)](rng).resize((size, size), PillowImage.Resampling.BILINEAR)
        pictures.append(np.asarray(card, dtype=np.uint8))
    return np.stack(pictures)


def _flat(rng: np.random.Generator) -> PillowImage.Image:
    """Black, white, gray or one color."""
    gray = int(rng.choice([0, 0, 4, 16, 40, 128, 235, 255]))
    fill = _shade(gray) if rng.random() < 0.7 else as_color(palette(1, rng)[0])
    return PillowImage.new("RGB", WIDE, fill)


def _credits(rng: np.random.Generator) -> PillowImage.Image:
    """At any point of their roll."""
    letter = float(rng.uniform(7, 22))
    roll = credits_roll(WIDE, letter, letter * rng.uniform(1.2, 1.8), rng)
    top = int(rng.integers(0, 2 * WIDE[1]))
    return PillowImage.fromarray(roll[top : top + WIDE[1]])


def _title(rng: np.random.Generator) -> PillowImage.Image:
    ground = gradient(WIDE, rng) if rng.random() < 0.6 else _flat(rng)
    return title(ground, float(rng.uniform(12, 34)), rng)


def _color_bars(rng: np.random.Generator) -> PillowImage.Image:
    level = int(rng.choice([191, 255]))
    bits = np.arange(7, 0, -1)
    bars = np.stack([bits >> 1 & 1, bits >> 2 & 1, bits & 1], axis=1).astype(np.uint8) * level
    return PillowImage.fromarray(bars[None].astype(np.uint8)).resize(
        WIDE, PillowImage.Resampling.NEAREST
    )


def _countdown(rng: np.random.Generator) -> PillowImage.Image:
    ground, ink = (40, 230) if rng.random() < 0.5 else (200, 20)
    card = PillowImage.new("RGB", WIDE, _shade(ground))
    pen, (x, y) = ImageDraw.Draw(card), (WIDE[0] / 2, WIDE[1] / 2)
    pen.line((0, y, WIDE[0], y), _shade(ink))
    pen.line((x, 0, x, WIDE[1]), _shade(ink))
    pen.ellipse((x - 60, y - 60, x + 60, y + 60), outline=_shade(ink), width=2)
    number, font = str(int(rng.integers(0, 10))), ImageFont.load_default(70)
    pen.text((x, y), number, _shade(ink), font, anchor="mm")
    return card


def _static(rng: np.random.Generator) -> PillowImage.Image:
    """Noise, gray or colored, fine or coarse."""
    grain = int(rng.choice([1, 2, 4]))
    noise = rng.integers(0, 256, (WIDE[1] // grain, WIDE[0] // grain, 3), dtype=np.uint8)
    if rng.random() < 0.6:
        noise[:] = noise[:, :, :1]
    return PillowImage.fromarray(noise).resize(WIDE, PillowImage.Resampling.NEAREST)


def _shade(level: int) -> Color:
    return (level, level, level)
