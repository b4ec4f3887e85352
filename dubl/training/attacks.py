"""Fixed edits for validation, made with Pillow, apart from the augmentations trained on.

Each takes the original picture, an unrelated one and a generator, and returns an edited picture
of the same size.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from dubl.footage.procedural import font, random_word

Attack = Callable[[Image.Image, Image.Image, np.random.Generator], Image.Image]


def _crop(image: Image.Image, _: Image.Image, rng: np.random.Generator) -> Image.Image:
    side = rng.uniform(0.55, 0.75, 2) * image.width
    x, y = rng.uniform(0, 1, 2) * (image.width - side)
    return image.resize(image.size, box=(x, y, x + side[0], y + side[1]))


def _mirror_crop(image: Image.Image, _: Image.Image, rng: np.random.Generator) -> Image.Image:
    return _crop(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), _, rng)


def _rotate(image: Image.Image, _: Image.Image, rng: np.random.Generator) -> Image.Image:
    return image.rotate(float(rng.uniform(8, 20) * rng.choice([-1, 1])), Image.Resampling.BILINEAR)


def _quarter_turn(image: Image.Image, _: Image.Image, rng: np.random.Generator) -> Image.Image:
    turns = (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)
    return image.transpose(turns[int(rng.integers(3))])


def _colors(image: Image.Image, _: Image.Image, rng: np.random.Generator) -> Image.Image:
    if rng.random() < 0.3:
        image = image.convert("L").convert("RGB")
    image = ImageEnhance.Color(image).enhance(float(rng.uniform(0.2, 2.5)))
    image = ImageEnhance.Brightness(image).enhance(float(rng.choice([0.35, 0.5, 1.5])))
    return ImageEnhance.Contrast(image).enhance(float(rng.choice([0.5, 1.6])))


def _degrade(image: Image.Image, _: Image.Image, rng: np.random.Generator) -> Image.Image:
    small = image.resize((int(rng.integers(36, 64)),) * 2).resize(image.size)
    file = io.BytesIO()
    small.filter(ImageFilter.GaussianBlur(1)).save(file, "JPEG", quality=int(rng.integers(6, 25)))
    return Image.open(file).convert("RGB")


def _text(image: Image.Image, _: Image.Image, rng: np.random.Generator) -> Image.Image:
    image = image.copy()
    draw = ImageDraw.Draw(image)
    for _line in range(int(rng.integers(1, 4))):
        words = " ".join(random_word(rng) for _ in range(3))
        fill = tuple(int(v) for v in rng.integers(0, 256, 3))
        x, y = rng.uniform(-0.05, 0.75, 2) * image.width
        draw.text((x, y), words, fill=fill, font=font(int(rng.integers(16, 36))))
    return image


def _sticker(image: Image.Image, _: Image.Image, rng: np.random.Generator) -> Image.Image:
    image = image.copy()
    draw = ImageDraw.Draw(image)
    for _blob in range(int(rng.integers(2, 6))):
        x, y = rng.uniform(0, 0.8, 2) * image.width
        w, h = rng.uniform(0.15, 0.4, 2) * image.width
        fill = tuple(int(v) for v in rng.integers(0, 256, 3))
        shape = draw.ellipse if rng.random() < 0.6 else draw.rectangle
        shape((x, y, x + w, y + h), fill=fill)
    return image


def _bars(canvas: Image.Image, image: Image.Image, rng: np.random.Generator) -> Image.Image:
    side, across = image.width, int(rng.uniform(0.38, 0.6) * image.width)
    size = (across, side) if rng.random() < 0.6 else (side, across)
    canvas.paste(image.resize(size), ((side - size[0]) // 2, (side - size[1]) // 2))
    return canvas


def _black_bars(image: Image.Image, _: Image.Image, rng: np.random.Generator) -> Image.Image:
    return _bars(Image.new("RGB", image.size), image, rng)


def _blurred_bars(image: Image.Image, _: Image.Image, rng: np.random.Generator) -> Image.Image:
    side = image.width
    zoomed = image.resize(image.size, box=(side * 0.25, side * 0.25, side * 0.75, side * 0.75))
    return _bars(zoomed.filter(ImageFilter.GaussianBlur(side / 16)), image, rng)


def _inset(image: Image.Image, other: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The picture stands small inside another one: 35 to 60 percent of the side."""
    canvas, width = other.copy(), int(rng.uniform(0.35, 0.6) * image.width)
    height = int(width * rng.uniform(0.8, 1.25))
    x, y = rng.uniform(0, 1, 2) * (image.width - np.array([width, min(height, image.height)]))
    canvas.paste(image.resize((width, height)), (int(x), int(y)))
    return canvas


def _reaction(image: Image.Image, other: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Another picture covers 30 to 50 percent of the side."""
    width = int(rng.uniform(0.3, 0.5) * image.width)
    canvas, (x, y) = image.copy(), rng.uniform(0, 1, 2) * (image.width - width)
    canvas.paste(other.resize((width, width)), (int(x), int(y)))
    return canvas


def _split(image: Image.Image, other: Image.Image, rng: np.random.Generator) -> Image.Image:
    side, upright, first = image.width, rng.random() < 0.5, rng.random() < 0.5
    size = (side // 2, side) if upright else (side, side // 2)
    canvas = Image.new("RGB", image.size)
    one, two = (image, other) if first else (other, image)
    canvas.paste(one.resize(size), (0, 0))
    canvas.paste(two.resize(size), (side // 2, 0) if upright else (0, side // 2))
    return canvas


ATTACKS: dict[str, Attack] = {
    "crop": _crop,
    "mirror_crop": _mirror_crop,
    "rotate": _rotate,
    "quarter_turn": _quarter_turn,
    "colors": _colors,
    "degrade": _degrade,
    "text": _text,
    "sticker": _sticker,
    "black_bars": _black_bars,
    "blurred_bars": _blurred_bars,
    "inset": _inset,
    "reaction": _reaction,
    "split": _split,
}
COMPOSITIONS = frozenset({"inset", "reaction", "split"})  # these show the other picture as well
