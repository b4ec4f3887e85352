"""Edits that move pixels: scale, crop, stretch, mirror, turn, perspective, zoom."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from dubl.footage.clips import Clip, Paint, even, scaled
from dubl.footage.edits.edit import Draw, EditedClip, Family, edit, repainted
from dubl.footage.video_file import Image, Size

Corners = NDArray[np.float64]  # [4, 2]: left top, right top, right bottom, left bottom; x, y


@edit(Family.GEOMETRIC, "smaller by 25-75 %")
def scale(clip: Clip, draw: Draw) -> EditedClip:
    part = draw.between(0.75, 0.25)
    size = even(clip.size[0] * part, clip.size[1] * part)
    return repainted(clip, size, lambda image, _: scaled(image, size))


@edit(Family.GEOMETRIC, "a window of 90-40 % of the area")
def crop(clip: Clip, draw: Draw) -> EditedClip:
    """Keeps 90 % to 40 % of the area, anywhere in the picture."""
    part = float(np.sqrt(draw.between(0.9, 0.4)))
    return _window(clip, draw, even(clip.size[0] * part, clip.size[1] * part))


@edit(Family.GEOMETRIC, "a 9:16 window of full height")
def vertical_cutout(clip: Clip, draw: Draw) -> EditedClip:
    """Cuts a 9:16 window of full height out of a wide picture (16:9 out of a tall one)."""
    width, height = clip.size
    if width > height * 9 / 16:
        return _window(clip, draw, even(height * 9 / 16, height))
    return _window(clip, draw, even(width, width * 9 / 16))


@edit(Family.GEOMETRIC, "one side squeezed 1.15-1.8 fold")
def aspect(clip: Clip, draw: Draw) -> EditedClip:
    """Stretches one side, which changes the shape of everything shown."""
    stretch = draw.between(1.15, 1.8)
    width, height = clip.size
    wide = draw.rng.uniform() < 0.5
    size = even(width, height / stretch) if wide else even(width / stretch, height)
    return repainted(clip, size, lambda image, _: scaled(image, size))


@edit(Family.GEOMETRIC, "left and right exchanged")
def mirror(clip: Clip, _draw: Draw) -> EditedClip:
    return repainted(clip, clip.size, lambda image, _: image[:, ::-1])


@edit(Family.GEOMETRIC, "turned by 3-20°")
def rotate_small(clip: Clip, draw: Draw) -> EditedClip:
    """Turns by 3 to 20 degrees; the corners go black."""
    angle = draw.sign() * draw.between(3, 20)

    def paint(image: Image, _time_s: float) -> Image:
        return np.asarray(
            PillowImage.fromarray(image).rotate(angle, PillowImage.Resampling.BILINEAR)
        )

    return repainted(clip, clip.size, paint)


@edit(Family.GEOMETRIC, "turned by 90, 180 or 270°")
def rotate_90(clip: Clip, draw: Draw) -> EditedClip:
    """Turns by 90, 180 or 270 degrees, in the pixels."""
    turns = int(draw.rng.integers(1, 4))
    width, height = clip.size
    size = (height, width) if turns % 2 else (width, height)
    return repainted(clip, size, lambda image, _: np.rot90(image, turns))


@edit(Family.GEOMETRIC, "seen from the side")
def perspective(clip: Clip, draw: Draw) -> EditedClip:
    """Pulls each corner inwards by its own amount, as if seen from the side; black around it."""
    corners = displaced_corners(clip.size, draw.between(0.04, 0.16), draw.rng)
    return repainted(clip, clip.size, warped(clip.size, corners))


@edit(Family.GEOMETRIC, "zoom of 1.2-1.9 all along")
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


def picture_corners(size: Size) -> Corners:
    """The corners of a picture of `size` (width, height)."""
    width, height = size
    return np.array([(0, 0), (width, 0), (width, height), (0, height)], dtype=np.float64)


def displaced_corners(size: Size, part: float, rng: np.random.Generator) -> Corners:
    """Corners pulled in by up to `part` of the sides, each by its own amount."""
    inwards = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)])
    pull = rng.uniform(part * 0.3, part, (4, 2)) * np.array(size)
    corners: Corners = picture_corners(size) + inwards * pull
    return corners


def warped(size: Size, corners: Corners) -> Paint:
    """Paints the picture onto the quadrilateral `corners`; black around it."""
    matrix = plane_transform(corners, picture_corners(size))

    def paint(image: Image, _time_s: float) -> Image:
        picture = PillowImage.fromarray(image).transform(
            size, PillowImage.Transform.PERSPECTIVE, matrix, PillowImage.Resampling.BILINEAR
        )
        return np.asarray(picture)

    return paint


def plane_transform(shown: Corners, source: Corners) -> tuple[float, ...]:
    """Eight numbers (a … h) with x' = (ax + by + c) / (gx + hy + 1), y' = (dx + ey + f) / (…)
    that send each corner of `shown` to that of `source`, as Pillow's transform wants them."""
    rows = []
    for (x, y), (to_x, to_y) in zip(shown, source, strict=True):
        rows.append((x, y, 1, 0, 0, 0, -x * to_x, -y * to_x))
        rows.append((0, 0, 0, x, y, 1, -x * to_y, -y * to_y))
    solution = np.linalg.solve(np.array(rows, dtype=np.float64), source.ravel())
    return tuple(float(value) for value in solution)
