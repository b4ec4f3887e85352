"""Pictures made by rules: they widen a small training set and carry no licence of anybody else.

Dead leaves (occluding shapes, Lee et al., 2001) have the statistics of natural images; fractals
and plasma have structure at all scales; text pages and interface pictures stand for screen
recordings, which photographs do not cover.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Picture = NDArray[np.uint8]
Color = tuple[int, int, int]
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def procedural_picture(rng: np.random.Generator, *, size: int) -> Picture:
    """One picture of a kind drawn at random, uint8 [size, size, 3]."""
    kinds: list[Callable[[np.random.Generator, int], Picture]] = [
        _dead_leaves,
        _dead_leaves,
        _julia,
        _plasma,
        _gradient,
        _text_page,
        _interface,
        _interface,
    ]
    return kinds[int(rng.integers(len(kinds)))](rng, size)


def random_word(rng: np.random.Generator) -> str:
    """Two to nine letters or digits."""
    return "".join(_LETTERS[i] for i in rng.integers(len(_LETTERS), size=rng.integers(2, 10)))


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own typeface, so that no font file is needed; size in pixels."""
    return ImageFont.load_default(size)


def _color(rng: np.random.Generator) -> Color:
    red, green, blue = (int(value) for value in rng.integers(0, 256, 3))
    return red, green, blue


def _array(image: Image.Image) -> Picture:
    return np.asarray(image, dtype=np.uint8).copy()


def _dead_leaves(rng: np.random.Generator, size: int) -> Picture:
    image = Image.new("RGB", (size, size), _color(rng))
    draw = ImageDraw.Draw(image)
    palette = [_color(rng) for _ in range(int(rng.integers(3, 20)))]
    polygons = rng.random() < 0.5
    # Radii follow r^-3, as in natural scenes: many small leaves, a few large ones.
    radii = np.clip(3.0 / np.sqrt(rng.random(int(rng.integers(60, 400)))), 3, size / 2)
    for radius in radii:
        x, y = rng.uniform(0, size, 2)
        fill = palette[int(rng.integers(len(palette)))]
        if polygons:
            angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 7))))
            corners = np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1)
            draw.polygon([(float(a), float(b)) for a, b in corners], fill=fill)
        else:
            flat = radius * rng.uniform(0.4, 1.0)
            draw.ellipse((x - radius, y - flat, x + radius, y + flat), fill=fill)
    return _array(image)


def _palette(rng: np.random.Generator, values: NDArray[np.float64]) -> Picture:
    """Values in 0..1 → colors on a smooth random cycle."""
    phase, frequency = rng.uniform(0, 1, 3), rng.uniform(0.5, 3.0, 3)
    colors = 0.5 + 0.5 * np.cos(2 * np.pi * (values[..., None] * frequency + phase))
    return cast(Picture, (colors * 255).astype(np.uint8))


def _julia(rng: np.random.Generator, size: int) -> Picture:
    angle, radius = rng.uniform(0, 2 * np.pi), rng.uniform(0.7, 0.9)
    constant = radius * np.exp(1j * angle)
    zoom, (x, y) = rng.uniform(0.3, 1.5), rng.uniform(-0.4, 0.4, 2)
    axis = np.linspace(-zoom, zoom, size)
    z = (axis[None] + x) + 1j * (axis[:, None] + y)
    counts = np.zeros(z.shape)
    for _ in range(40):
        inside = np.abs(z) < 4
        z = np.where(inside, z * z + constant, z)
        counts += inside
    return _palette(rng, counts / 40 + 0.05 * np.abs(z).clip(0, 10))


def _plasma(rng: np.random.Generator, size: int) -> Picture:
    """Noise with a 1/f^a spectrum."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    frequency[0, 0] = 1.0
    spectrum = np.fft.rfft2(rng.normal(size=(size, size))) / frequency ** rng.uniform(0.8, 2.2)
    field = np.fft.irfft2(spectrum, s=(size, size))
    field -= field.min()
    return _palette(rng, field / max(float(field.max()), 1e-9))


def _gradient(rng: np.random.Generator, size: int) -> Picture:
    corners = rng.integers(0, 256, (3, 3, 3), dtype=np.uint8)
    image = Image.fromarray(corners).resize((size, size), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(1, 6))):
        x, y, w, h = rng.uniform(0, size, 4)
        draw.rectangle((x, y, x + w / 2, y + h / 2), outline=_color(rng), fill=_color(rng))
    return _array(image)


def _text_page(rng: np.random.Generator, size: int) -> Picture:
    dark = rng.random() < 0.4
    paper, ink = ((20, 22, 28), (220, 225, 230)) if dark else ((250, 248, 240), (25, 25, 30))
    image = Image.new("RGB", (size, size), paper)
    draw = ImageDraw.Draw(image)
    y = float(rng.uniform(2, 12))
    while y < size:
        height = int(rng.choice([8, 9, 11, 14, 22]))
        words = " ".join(random_word(rng) for _ in range(int(rng.integers(1, 9))))
        fill = _color(rng) if rng.random() < 0.2 else ink
        draw.text((float(rng.uniform(2, size / 4)), y), words, fill=fill, font=font(height))
        y += height * float(rng.uniform(1.1, 2.0))
    return _array(image)


def _interface(rng: np.random.Generator, size: int) -> Picture:
    """A window with a title bar, a side bar, cards, buttons and sometimes a chart."""
    base, accent = _color(rng), _color(rng)
    image = Image.new("RGB", (size, size), base)
    draw = ImageDraw.Draw(image)
    bar, side = int(rng.integers(6, 24)), int(rng.integers(0, size // 3))
    draw.rectangle((0, 0, size, bar), fill=accent)
    draw.text((4, bar / 4), random_word(rng), fill=_color(rng), font=font(max(bar // 2, 6)))
    draw.rectangle((0, bar, side, size), fill=_color(rng))
    columns, rows = (int(n) for n in rng.integers(1, 5, 2))
    width, height = (size - side) / columns, (size - bar) / rows
    for index in range(columns * rows):
        x, y = side + (index % columns) * width, bar + (index // columns) * height
        _card(rng, draw, (x + 3, y + 3, x + max(width - 3, 5), y + max(height - 3, 5)))
    return _array(image)


def _card(
    rng: np.random.Generator, draw: ImageDraw.ImageDraw, box: tuple[float, float, float, float]
) -> None:
    left, top, right, bottom = box
    draw.rounded_rectangle(box, radius=3, fill=_color(rng), outline=_color(rng))
    if rng.random() < 0.4:
        xs = np.linspace(left + 2, right - 2, int(rng.integers(3, 12)))
        ys = rng.uniform(top + 2, bottom - 2, xs.size)
        line = [(float(x), float(y)) for x, y in zip(xs, ys, strict=True)]
        draw.line(line, fill=_color(rng), width=2)
    else:
        draw.text((left + 3, top + 2), random_word(rng), fill=_color(rng), font=font(10))
