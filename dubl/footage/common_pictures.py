"""Pictures that turn up in many videos without being copied: black, titles, credits, slides.

Their descriptors are the background bank against which a similarity is judged
(dubl/matching/score_normalization.py). All are made by rules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dubl.footage.procedural import Picture, font, procedural_picture, random_word

WIDE = (284, 160)  # drawn at 16:9, then squashed as frames are
Fill = tuple[int, int, int]


def common_pictures(count: int, *, size: int, seed: int = 0) -> NDArray[np.uint8]:
    """uint8 [count, size, size, 3]: common ones of every kind in turn, then procedural ones."""
    rng = np.random.default_rng(seed)
    kinds: Sequence[Callable[[np.random.Generator], Image.Image]] = (
        _flat,
        _gradient,
        _credits,
        _credits,
        _title,
        _title,
        _slide,
        _color_bars,
        _countdown,
        _static,
    )
    pictures: list[Picture] = []
    for place in range(count):
        if place % 4 == 3:
            pictures.append(procedural_picture(rng, size=size))
            continue
        image = kinds[place % len(kinds)](rng).resize((size, size), Image.Resampling.BILINEAR)
        pictures.append(np.asarray(image, dtype=np.uint8))
    return np.stack(pictures)


def _flat(rng: np.random.Generator) -> Image.Image:
    """Black, white, gray or one color."""
    gray = int(rng.choice([0, 0, 4, 16, 40, 128, 235, 255]))
    return Image.new("RGB", WIDE, (gray, gray, gray) if rng.random() < 0.7 else _any_color(rng))


def _gradient(rng: np.random.Generator) -> Image.Image:
    corners = rng.integers(0, 256, (2, 2, 3), dtype=np.uint8)
    return Image.fromarray(corners).resize(WIDE, Image.Resampling.BICUBIC)


def _credits(rng: np.random.Generator) -> Image.Image:
    """Names over black, centered or in two columns, at any point of their roll."""
    image = Image.new("RGB", WIDE, (0, 0, 0))
    draw = ImageDraw.Draw(image)
    height = int(rng.integers(7, 22))
    columns = rng.random() < 0.4
    ink = _shade(int(rng.integers(150, 256)))
    y = float(rng.uniform(-height, WIDE[1] * rng.uniform(0.1, 0.9)))
    while y < WIDE[1]:
        if rng.random() < 0.85:
            if columns:
                draw.text((WIDE[0] * 0.48, y), random_word(rng), ink, font(height), anchor="ra")
                draw.text((WIDE[0] * 0.52, y), _words(2, rng), ink, font(height), anchor="la")
            else:
                line = _words(int(rng.integers(1, 4)), rng)
                draw.text((WIDE[0] / 2, y), line, ink, font(height), anchor="ma")
        y += height * float(rng.uniform(1.2, 1.8))
    return image


def _title(rng: np.random.Generator) -> Image.Image:
    """A few large words over a plain or shaded ground."""
    image = _gradient(rng) if rng.random() < 0.6 else _flat(rng)
    draw = ImageDraw.Draw(image)
    ink = _shade(255) if rng.random() < 0.7 else _any_color(rng)
    line = _words(int(rng.integers(1, 4)), rng)
    place = (WIDE[0] / 2, WIDE[1] * float(rng.uniform(0.3, 0.7)))
    draw.text(place, line, ink, font(int(rng.integers(12, 34))), anchor="mm")
    return image


def _slide(rng: np.random.Generator) -> Image.Image:
    """A heading, maybe on a bar, and lines below it on paper."""
    image = Image.new("RGB", WIDE, _any_color(rng) if rng.random() < 0.5 else (255, 255, 255))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, WIDE[0], WIDE[1] * 0.18), fill=_any_color(rng))
    draw.rectangle((14, 36, WIDE[0] - 14, WIDE[1] - 10), fill=_shade(int(rng.integers(225, 256))))
    draw.text((14, 6), _words(3, rng), _shade(255), font(15))
    for row in range(int(rng.integers(2, 8))):
        words = _words(int(rng.integers(2, 6)), rng)
        draw.text((24, 44 + 13 * row), f"- {words}", _shade(30), font(9))
    return image


def _color_bars(rng: np.random.Generator) -> Image.Image:
    image = Image.new("RGB", WIDE)
    draw = ImageDraw.Draw(image)
    level = int(rng.choice([191, 255]))
    width = WIDE[0] / 7
    for place in range(7):
        bits = 7 - place
        fill = (level * (bits >> 1 & 1), level * (bits >> 2 & 1), level * (bits & 1))
        draw.rectangle((place * width, 0, (place + 1) * width, WIDE[1]), fill=fill)
    return image


def _countdown(rng: np.random.Generator) -> Image.Image:
    ground, ink = (40, 230) if rng.random() < 0.5 else (200, 20)
    image = Image.new("RGB", WIDE, _shade(ground))
    draw = ImageDraw.Draw(image)
    x, y = WIDE[0] / 2, WIDE[1] / 2
    draw.line((0, y, WIDE[0], y), _shade(ink))
    draw.line((x, 0, x, WIDE[1]), _shade(ink))
    draw.ellipse((x - 60, y - 60, x + 60, y + 60), outline=_shade(ink), width=2)
    draw.text((x, y), str(int(rng.integers(0, 10))), _shade(ink), font(70), anchor="mm")
    return image


def _static(rng: np.random.Generator) -> Image.Image:
    """Noise, gray or colored, fine or coarse."""
    grain = int(rng.choice([1, 2, 4]))
    noise = rng.integers(0, 256, (WIDE[1] // grain, WIDE[0] // grain, 3), dtype=np.uint8)
    if rng.random() < 0.6:
        noise[:] = noise[:, :, :1]
    return Image.fromarray(noise).resize(WIDE, Image.Resampling.NEAREST)


def _words(count: int, rng: np.random.Generator) -> str:
    return " ".join(random_word(rng) for _ in range(count))


def _shade(level: int) -> Fill:
    return (level, level, level)


def _any_color(rng: np.random.Generator) -> Fill:
    red, green, blue = (int(value) for value in rng.integers(0, 256, 3))
    return (red, green, blue)
