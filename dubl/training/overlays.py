"""Things laid over, around and beside a picture. Pictures are float [3, H, W] in 0..1.

Text and stickers come from an atlas rendered once, so that no font is touched during training.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Generator, Tensor
from torch.nn import functional as F

from dubl.footage.procedural import font, random_word
from dubl.training.geometry import chance, uniform
from dubl.training.photometric import gaussian_blur

TEXT_SIZE = (192, 32)  # width and height of a rendered line of text, pixels
STICKER_SIZE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Atlas:
    """Rendered text masks [K, 1, 32, 192] and stickers with alpha [K, 4, 64, 64], 0..1."""

    texts: Tensor
    stickers: Tensor


def render_atlas(*, count: int = 96, seed: int = 0) -> Atlas:
    """Draws `count` lines of text and as many stickers."""
    rng = np.random.default_rng(seed)
    texts = torch.stack([_text_mask(rng) for _ in range(count)])
    return Atlas(texts=texts, stickers=torch.stack([_sticker(rng) for _ in range(count)]))


def _text_mask(rng: np.random.Generator) -> Tensor:
    words = " ".join(random_word(rng) for _ in range(int(rng.integers(1, 4))))
    image = Image.new("L", (TEXT_SIZE[0] * 2, TEXT_SIZE[1]))
    stroke = int(rng.integers(0, 2))
    ImageDraw.Draw(image).text((2, 2), words, fill=255, font=font(24), stroke_width=stroke)
    box = image.getbbox() or (0, 0, *TEXT_SIZE)
    return torch.from_numpy(np.asarray(image.crop(box).resize(TEXT_SIZE)).copy())[None] / 255


def _sticker(rng: np.random.Generator) -> Tensor:
    """A face, a badge or a block of color."""
    size = STICKER_SIZE
    image = Image.new("RGBA", (size, size), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    colors = [(*(int(v) for v in rng.integers(0, 256, 3)), 255) for _ in range(3)]
    kind = int(rng.integers(3))
    if kind == 0:
        draw.ellipse((2, 2, size - 2, size - 2), fill=colors[0], outline=colors[1], width=2)
        for x in (20, 40):
            draw.ellipse((x - 4, 20, x + 6, 32), fill=colors[2])
        draw.arc((16, 24, 48, 52), 10, 170, fill=colors[2], width=4)
    elif kind == 1:
        angles = np.linspace(0, 2 * np.pi, 2 * int(rng.integers(3, 9)), endpoint=False)
        reach = np.where(np.arange(angles.size) % 2 == 0, 30, rng.uniform(10, 28))
        corners = [
            (32 + float(r * np.cos(a)), 32 + float(r * np.sin(a)))
            for a, r in zip(angles, reach, strict=True)
        ]
        draw.polygon(corners, fill=colors[0], outline=colors[1])
        draw.text((14, 22), random_word(rng)[:4], fill=colors[2], font=font(16))
    else:
        top = int(rng.integers(0, 24))
        draw.rounded_rectangle((0, top, size, size - top), radius=6, fill=colors[0])
        draw.text((4, 24), random_word(rng)[:6], fill=colors[1], font=font(18))
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).float() / 255


def _number(low: float, high: float, generator: Generator) -> float:
    return float(uniform(low, high, 1, generator))


def resize(image: Tensor, height: int, width: int) -> Tensor:
    """[C, H, W] → [C, height, width], area-averaged where it shrinks."""
    size = (max(height, 1), max(width, 1))
    return F.interpolate(image[None], size=size, mode="bilinear", antialias=True)[0]


def paste(canvas: Tensor, part: Tensor, alpha: Tensor, top: int, left: int) -> Tensor:
    """Lays `part` [3 or 1, h, w] with `alpha` [1, h, w] on a copy of the canvas."""
    canvas = canvas.clone()
    bottom, right = max(top + part.shape[1], 0), max(left + part.shape[2], 0)
    y, x = max(-top, 0), max(-left, 0)
    room = canvas[:, max(top, 0) : bottom, max(left, 0) : right]
    inside = (slice(None), slice(y, y + room.shape[1]), slice(x, x + room.shape[2]))
    weight = alpha[inside]
    room.copy_(room * (1 - weight) + part[inside] * weight)
    return canvas


def add_text(image: Tensor, atlas: Atlas, generator: Generator) -> Tensor:
    """One line of text of any color, 8 to 25 percent of the height."""
    side = image.shape[-1]
    mask = atlas.texts[int(torch.randint(len(atlas.texts), (), generator=generator))]
    height = round(_number(0.08, 0.25, generator) * side)
    mask = resize(mask, height, round(height * _number(2.0, 6.0, generator)))
    mask = mask * _number(0.7, 1.0, generator)
    top = round(_number(-0.05, 0.9, generator) * side)
    left = round(_number(-0.3, 0.7, generator) * side)
    ink = torch.rand(3, 1, 1, generator=generator).expand(3, *mask.shape[1:])
    return paste(image, ink, mask, top, left)


def add_sticker(image: Tensor, atlas: Atlas, generator: Generator) -> Tensor:
    """One sticker, 12 to 45 percent of the side."""
    side = image.shape[-1]
    sticker = atlas.stickers[int(torch.randint(len(atlas.stickers), (), generator=generator))]
    height = round(_number(0.12, 0.45, generator) * side)
    sticker = resize(sticker, height, round(height * _number(0.7, 1.4, generator)))
    top, left = (round(_number(-0.1, 0.85, generator) * side) for _ in range(2))
    alpha = sticker[3:] * _number(0.7, 1.0, generator)
    return paste(image, sticker[:3], alpha, top, left)


def add_bars(image: Tensor, generator: Generator) -> Tensor:
    """The picture squeezed between bars: black, of one color, or its own enlarged, blurred self."""
    side = image.shape[-1]
    across = round(_number(0.32, 0.85, generator) * side)
    upright = bool(chance(0.5, 1, generator))
    height, width = (side, across) if upright else (across, side)
    if chance(0.2, 1, generator):
        height = width = across
    part = resize(image, height, width)
    kind = _number(0, 1, generator)
    if kind < 0.5:
        edge = side // 4
        zoomed = resize(image[:, edge : side - edge, edge : side - edge], side, side)
        deviation = _number(0.03, 0.1, generator) * side
        canvas = gaussian_blur(zoomed[None], deviation)[0] * _number(0.5, 1.0, generator)
    elif kind < 0.85:
        canvas = torch.zeros_like(image)
    else:
        canvas = torch.rand(3, 1, 1, generator=generator).expand_as(image)
    shift = 0.5 if chance(0.8, 1, generator) else _number(0, 1, generator)
    top, left = round((side - height) * shift), round((side - width) * shift)
    return paste(canvas, part, torch.ones_like(part[:1]), top, left)


def inset(
    image: Tensor, canvas: Tensor, generator: Generator, *, low: float, high: float
) -> Tensor:
    """The picture small on the canvas; `low` to `high` of the side, anywhere on it."""
    side = canvas.shape[-1]
    height = round(_number(low, high, generator) * side)
    width = min(round(height * _number(0.75, 1.35, generator)), side)
    part = resize(image, height, width)
    top = round(_number(0, 1, generator) * (side - height))
    left = round(_number(0, 1, generator) * (side - width))
    return paste(canvas, part, torch.ones_like(part[:1]), top, left)


def split_screen(image: Tensor, other: Tensor, generator: Generator) -> Tensor:
    """Both pictures side by side or one above the other; squeezed, or cut in the middle."""
    side = image.shape[-1]
    first, second = (image, other) if chance(0.5, 1, generator) else (other, image)
    half = round(_number(0.4, 0.6, generator) * side)
    dim = 2 if chance(0.5, 1, generator) else 1
    parts = []
    for part, length in ((first, half), (second, side - half)):
        if chance(0.5, 1, generator):
            height, width = (side, length) if dim == 2 else (length, side)
            parts.append(resize(part, height, width))
        else:
            parts.append(part.narrow(dim, (side - length) // 2, length))
    return torch.cat(parts, dim=dim)
