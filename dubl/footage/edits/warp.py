"""Perspective: the plane transform that brings a picture onto a quadrilateral."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from dubl.footage.clips import Paint
from dubl.footage.video_file import Image, Size

Corners = NDArray[np.float64]  # [4, 2]: left top, right top, right bottom, left bottom; x, y


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
