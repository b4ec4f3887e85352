"""Edits that move pixels: scale, crop, stretch, mirror, turn, perspective, zoom."""

from __future__ import annotations

import numpy as np
from PIL import Image as PillowImage

from dubl.footage.clips import Clip, even, scaled
from dubl.footage.edits.edit import Draw, Edit, EditedClip, Family, repainted
from dubl.footage.edits.warp import displaced_corners, warped
from dubl.footage.video_file import Image, Size


def scale(clip: Clip, draw: Draw) -> EditedClip:
    part = draw.between(0.75, 0.25)
    size = even(clip.size[0] * part, clip.size[1] * part)
    return repainted(clip, size, lambda image, _: scaled(image, size))


def crop(clip: Clip, draw: Draw) -> EditedClip:
    """Keeps 90 % to 40 % of the area, anywhere in the picture."""
    part = float(np.sqrt(draw.between(0.9, 0.4)))
    return _window(clip, draw, even(clip.size[0] * part, clip.size[1] * part))


def vertical_cutout(clip: Clip, draw: Draw) -> EditedClip:
    """Cuts a 9:16 window of full height out of a wide picture (16:9 out of a tall one)."""
    width, height = clip.size
    if width > height * 9 / 16:
        return _window(clip, draw, even(height * 9 / 16, height))
    return _window(clip, draw, even(width, width * 9 / 16))


def aspect(clip: Clip, draw: Draw) -> EditedClip:
    """Stretches one side, which changes the shape of everything shown."""
    stretch = draw.between(1.15, 1.8)
    width, height = clip.size
    wide = draw.rng.uniform() < 0.5
    size = even(width, height / stretch) if wide else even(width / stretch, height)
    return repainted(clip, size, lambda image, _: scaled(image, size))


def mirror(clip: Clip, _draw: Draw) -> EditedClip:
    return repainted(clip, clip.size, lambda image, _: image[:, ::-1])


def rotate_small(clip: Clip, draw: Draw) -> EditedClip:
    """Turns by 3 to 20 degrees; the corners go black."""
    angle = draw.sign() * draw.between(3, 20)

    def paint(image: Image, _time_s: float) -> Image:
        return np.asarray(
            PillowImage.fromarray(image).rotate(angle, PillowImage.Resampling.BILINEAR)
        )

    return repainted(clip, clip.size, paint)


def rotate_90(clip: Clip, draw: Draw) -> EditedClip:
    """Turns by 90, 180 or 270 degrees, in the pixels."""
    turns = int(draw.rng.integers(1, 4))
    width, height = clip.size
    size = (height, width) if turns % 2 else (width, height)
    return repainted(clip, size, lambda image, _: np.rot90(image, turns))


def perspective(clip: Clip, draw: Draw) -> EditedClip:
    """Pulls each corner inwards by its own amount, as if seen from the side; black around it."""
    corners = displaced_corners(clip.size, draw.between(0.04, 0.16), draw.rng)
    return repainted(clip, clip.size, warped(clip.size, corners))


def slow_zoom(clip: Clip, draw: Draw) -> EditedClip:
    """Zooms in (or out) evenly from the first to the last picture."""
    most, inwards = draw.between(1.2, 1.9), draw.rng.uniform() < 0.5
    width, height = clip.size
    end_s = clip.duration_s

    def paint(image: Image, time_s: float) -> Image:
        part = time_s / end_s if inwards else 1 - time_s / end_s
        zoom = 1 + (most - 1) * part
        left, top = width * (1 - 1 / zoom) / 2, height * (1 - 1 / zoom) / 2
        picture = PillowImage.fromarray(image)
        box = (left, top, width - left, height - top)
        return np.asarray(picture.resize(clip.size, PillowImage.Resampling.BILINEAR, box=box))

    return repainted(clip, clip.size, paint)


def _window(clip: Clip, draw: Draw, size: Size) -> EditedClip:
    width, height = min(size[0], clip.size[0]), min(size[1], clip.size[1])
    left = int(draw.rng.integers(0, clip.size[0] - width + 1))
    top = int(draw.rng.integers(0, clip.size[1] - height + 1))
    return repainted(
        clip, (width, height), lambda image, _: image[top : top + height, left : left + width]
    )


_FAMILY = Family.GEOMETRIC
EDITS: tuple[Edit, ...] = (
    Edit(name="scale", family=_FAMILY, summary="smaller by 25-75 %", apply=scale),
    Edit(name="crop", family=_FAMILY, summary="a window of 90-40 % of the area", apply=crop),
    Edit(
        name="vertical_cutout",
        family=_FAMILY,
        summary="a 9:16 window of full height",
        apply=vertical_cutout,
    ),
    Edit(name="aspect", family=_FAMILY, summary="one side squeezed 1.15-1.8 fold", apply=aspect),
    Edit(name="mirror", family=_FAMILY, summary="left and right exchanged", apply=mirror),
    Edit(name="rotate_small", family=_FAMILY, summary="turned by 3-20°", apply=rotate_small),
    Edit(name="rotate_90", family=_FAMILY, summary="turned by 90, 180 or 270°", apply=rotate_90),
    Edit(name="perspective", family=_FAMILY, summary="seen from the side", apply=perspective),
    Edit(name="slow_zoom", family=_FAMILY, summary="zoom of 1.2-1.9 all along", apply=slow_zoom),
)
