"""Edits that put the picture into another frame: bars, border, a screen filmed in a room."""

from __future__ import annotations

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageFilter

from dubl.footage.clips import Clip, even, fitted, inlaid
from dubl.footage.edits.edit import Draw, EditedClip, Family, edit, repainted, whole
from dubl.footage.edits.geometric import displaced_corners, warped
from dubl.footage.textures import palette
from dubl.footage.video_file import Image, Size


@edit(Family.FRAMING, "black bars, 10-45 %")
def letterbox(clip: Clip, draw: Draw) -> EditedClip:
    """Black bars above and below, or at both sides, 10 to 45 % of the new picture."""
    grow = 1 / (1 - draw.between(0.1, 0.45))
    width, height = clip.size
    tall = draw.rng.uniform() < 0.5
    size = even(width, height * grow) if tall else even(width * grow, height)
    return EditedClip(clip=fitted(clip, size), spans=whole(clip))


@edit(Family.FRAMING, "whole picture over its own blur, 9:16")
def blurred_bars(clip: Clip, _draw: Draw) -> EditedClip:
    """The whole picture in a 9:16 frame (16:9 for a tall one) over a blurred blow-up of itself."""
    width, height = clip.size
    size = (
        even(width * 0.6, width * 0.6 * 16 / 9)
        if width > height * 9 / 16
        else even(height, height * 9 / 16)
    )
    part = min(size[0] / width, size[1] / height)
    inner = (round(width * part), round(height * part))
    place = ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2)
    return repainted(
        clip, size, lambda image, _: inlaid(_blurred_cover(image, size), image, inner, place)
    )


@edit(Family.FRAMING, "colored rim of 3-14 %")
def border(clip: Clip, draw: Draw) -> EditedClip:
    """A colored rim of 3 to 14 % of the width around the picture, which shrinks for it."""
    rim = max(round(clip.size[0] * draw.between(0.03, 0.14)), 1)
    fill = palette(1, draw.rng)[0]
    inner = (max(clip.size[0] - 2 * rim, 2), max(clip.size[1] - 2 * rim, 2))

    def paint(image: Image, _time_s: float) -> Image:
        canvas = np.empty_like(image)
        canvas[:] = fill
        return inlaid(canvas, image, inner, (rim, rim))

    return repainted(clip, clip.size, paint)


@edit(Family.FRAMING, "a screen filmed by hand")
def camcorder(clip: Clip, draw: Draw) -> EditedClip:
    """A screen filmed from the side in a dim room by hand: slant, shake, moire, flicker."""
    size = clip.size
    onto = warped(size, displaced_corners(size, draw.between(0.08, 0.22), draw.rng))
    screen = onto(np.full((size[1], size[0], 3), 255, dtype=np.uint8), 0.0) / np.float32(255)
    room = (palette(1, draw.rng)[0] * 0.25).astype(np.float32) * (1 - screen)
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    moire = 1 + 0.07 * np.sin(0.9 * x + 0.23 * y) * np.sin(0.05 * x)
    gain = (moire[:, :, None] * draw.between(0.9, 0.65)).astype(np.float32)
    shake = max(round(size[0] * 0.006), 1)

    def paint(image: Image, time_s: float) -> Image:
        flicker = np.float32(1 + 0.06 * np.sin(19 * time_s))
        lit = onto(image, time_s) * gain * flicker + room
        filmed = np.clip(lit, 0, 255).astype(np.uint8)
        shift = (round(shake * np.sin(3.1 * time_s)), round(shake * np.sin(4.3 * time_s)))
        return np.roll(filmed, shift, axis=(0, 1))

    return repainted(clip, size, paint)


def _blurred_cover(image: Image, size: Size) -> Image:
    """The middle of the picture blown up to fill `size`, blurred (at a quarter of the size)."""
    height, width = image.shape[:2]
    shown = min(width, height * size[0] / size[1])
    tall = min(height, width * size[1] / size[0])
    left, top = (width - shown) / 2, (height - tall) / 2
    small = (max(size[0] // 4, 1), max(size[1] // 4, 1))
    box = (left, top, left + shown, top + tall)
    picture = PillowImage.fromarray(image).resize(small, box=box)
    soft = picture.filter(ImageFilter.GaussianBlur(max(small[0] / 24, 1)))
    return np.array(soft.resize(size, PillowImage.Resampling.BILINEAR)) // 4 * 3
