"""Edits that draw over the picture: text, logo, stickers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from dubl.footage.clips import Clip
from dubl.footage.edits.edit import Draw, EditedClip, Family, edit, repainted
from dubl.footage.textures import as_color, palette, words
from dubl.footage.video_file import Image

Sticker = tuple[PillowImage.Image, tuple[int, int]]  # RGBA, (left, top)


@edit(Family.OVERLAY, "1-5 lines of large letters")
def text(clip: Clip, draw: Draw) -> EditedClip:
    """One to five lines of large letters with an outline, at a place that changes each 4 s."""
    lines = max(1, round(draw.between(1, 5)))
    pages = [_text_page(clip, draw, lines) for _ in range(4)]

    def paint(image: Image, time_s: float) -> Image:
        return _pasted(image, [pages[int(time_s / 4) % len(pages)]])

    return repainted(clip, clip.size, paint)


@edit(Family.OVERLAY, "a sign in a corner, 10-28 % wide")
def logo(clip: Clip, draw: Draw) -> EditedClip:
    """A half-transparent sign in one corner, 10 to 28 % of the width."""
    width, height = clip.size
    side = max(round(width * draw.between(0.1, 0.28)), 8)
    shape = sign(side, draw.rng)
    left = 0 if draw.rng.uniform() < 0.5 else max(width - side, 0)
    top = 0 if draw.rng.uniform() < 0.5 else max(height - side, 0)
    return repainted(clip, clip.size, lambda image, _: _pasted(image, [(shape, (left, top))]))


@edit(Family.OVERLAY, "2-9 shapes hopping about")
def stickers(clip: Clip, draw: Draw) -> EditedClip:
    """Two to nine opaque shapes that hop about."""
    width, height = clip.size
    count = max(2, round(draw.between(2, 9)))
    shapes = [
        sticker(max(round(height * draw.rng.uniform(0.1, 0.24)), 6), draw.rng) for _ in range(count)
    ]
    places = draw.rng.uniform(0, 0.85, (count, 2))
    phases = draw.rng.uniform(0, 6, count)

    def paint(image: Image, time_s: float) -> Image:
        hops = np.abs(np.sin(2 * time_s + phases)) * 0.05
        return _pasted(
            image,
            [
                (shape, (int(x * width), int((y + hop) * height)))
                for shape, (x, y), hop in zip(shapes, places, hops, strict=True)
            ],
        )

    return repainted(clip, clip.size, paint)


def sign(side: int, rng: np.random.Generator) -> PillowImage.Image:
    """A half-transparent disc with a few letters, RGBA."""
    ink = as_color(palette(1, rng)[0])
    shape = PillowImage.new("RGBA", (side, side), (0, 0, 0, 0))
    pen, font = ImageDraw.Draw(shape), ImageFont.load_default(side / 3)
    pen.ellipse((1, 1, side - 2, side - 2), fill=(*ink, 170), outline=(255, 255, 255, 220), width=2)
    pen.text((side * 0.2, side * 0.3), words(1, rng)[:4], font=font)
    return shape


def sticker(side: int, rng: np.random.Generator) -> PillowImage.Image:
    """An opaque polygon with two eyes, RGBA."""
    body, rim = (as_color(row) for row in palette(2, rng))
    shape = PillowImage.new("RGBA", (side, side), (0, 0, 0, 0))
    pen = ImageDraw.Draw(shape)
    corners = int(rng.integers(3, 9))
    circle = (side / 2, side / 2, side / 2 - 1)
    pen.regular_polygon(circle, corners, fill=(*body, 255), outline=(*rim, 255), width=3)
    pen.ellipse((side * 0.3, side * 0.3, side * 0.42, side * 0.5), fill=(*rim, 255))
    pen.ellipse((side * 0.58, side * 0.3, side * 0.7, side * 0.5), fill=(*rim, 255))
    return shape


def _text_page(clip: Clip, draw: Draw, lines: int) -> Sticker:
    width, height = clip.size
    letter = max(min(height * 0.11, width * 0.08), 8)
    page = PillowImage.new("RGBA", clip.size, (0, 0, 0, 0))
    pen = ImageDraw.Draw(page)
    top = float(draw.rng.uniform(0, max(height - lines * letter * 1.3, 1)))
    ink = (255, 255, 255, 255) if draw.rng.uniform() < 0.6 else (255, 225, 40, 255)
    for line in range(lines):
        pen.text(
            (width / 2, top + line * letter * 1.3),
            words(3, draw.rng),
            fill=ink,
            font=ImageFont.load_default(letter),
            anchor="ma",
            stroke_width=2,
            stroke_fill=(0, 0, 0, 255),
        )
    return page, (0, 0)


def _pasted(image: Image, drawn: Sequence[Sticker]) -> Image:
    picture = PillowImage.fromarray(image)
    for sticker, place in drawn:
        picture.paste(sticker, place, sticker)
    return np.asarray(picture)
