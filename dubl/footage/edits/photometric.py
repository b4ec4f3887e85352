"""Edits that change light and sharpness: color, gray, dark, contrast, blur, noise."""

from __future__ import annotations

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageFilter

from dubl.footage.clips import Clip
from dubl.footage.edits.edit import Draw, EditedClip, Family, edit, repainted
from dubl.footage.video_file import Image

_GRAY_WEIGHTS = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # BT.601 luma


@edit(Family.PHOTOMETRIC, "color cast and saturation")
def color(clip: Clip, draw: Draw) -> EditedClip:
    """Each channel gets its own gain, and saturation grows or shrinks."""
    gains = 1 + draw.between(0.08, 0.45) * draw.rng.uniform(-1, 1, 3)
    saturation = 1 + draw.sign() * draw.between(0.2, 0.8)
    gray = np.outer(_GRAY_WEIGHTS, np.ones(3)) * (1 - saturation)
    mixer = ((np.eye(3) * saturation + gray) * gains).astype(np.float32)

    def paint(image: Image, _time_s: float) -> Image:
        return _clipped(image.astype(np.float32) @ mixer)

    return repainted(clip, clip.size, paint)


@edit(Family.PHOTOMETRIC, "no color")
def gray(clip: Clip, _draw: Draw) -> EditedClip:
    def paint(image: Image, _time_s: float) -> Image:
        return np.asarray(PillowImage.fromarray(image).convert("L").convert("RGB"))

    return repainted(clip, clip.size, paint)


@edit(Family.PHOTOMETRIC, "75-40 % of the light")
def dark(clip: Clip, draw: Draw) -> EditedClip:
    gain, gamma = draw.between(0.75, 0.4), draw.between(1.1, 1.5)
    levels = _levels(gain * np.linspace(0, 1, 256) ** gamma)
    return repainted(clip, clip.size, lambda image, _: levels[image])


@edit(Family.PHOTOMETRIC, "washed out or hard")
def contrast(clip: Clip, draw: Draw) -> EditedClip:
    """Washed out, or hard with clipped lights, around the middle gray."""
    hard = draw.rng.uniform() < 0.5
    slope = draw.between(1.25, 2.2) if hard else draw.between(0.8, 0.4)
    levels = _levels(0.5 + (np.linspace(0, 1, 256) - 0.5) * slope)
    return repainted(clip, clip.size, lambda image, _: levels[image])


@edit(Family.PHOTOMETRIC, "soft by 0.2-1 % of the width")
def blur(clip: Clip, draw: Draw) -> EditedClip:
    """Softens with a box of 0.2 to 1 % of the width to each side."""
    radius = max(clip.size[0] * draw.between(0.002, 0.01), 0.6)
    soft = ImageFilter.BoxBlur(radius)

    def paint(image: Image, _time_s: float) -> Image:
        return np.asarray(PillowImage.fromarray(image).filter(soft))

    return repainted(clip, clip.size, paint)


@edit(Family.PHOTOMETRIC, "grain of 6-36 levels")
def noise(clip: Clip, draw: Draw) -> EditedClip:
    """Grain of 6 to 36 gray levels' deviation, new in every picture."""
    width, height = clip.size
    spare = 64
    deviation = draw.between(6, 36)
    shape = (height + spare, width + spare, 3)
    grain = (draw.rng.standard_normal(shape, dtype=np.float32) * deviation).astype(np.int16)

    def paint(image: Image, time_s: float) -> Image:
        chance = np.random.default_rng(round(time_s * 1000))
        top, left = (int(value) for value in chance.integers(0, spare, 2))
        return _clipped(image + grain[top : top + height, left : left + width])

    return repainted(clip, clip.size, paint)


def _levels(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Image:
    """A table of 256 output levels from values in 0..1."""
    return _clipped(values * 255)


def _clipped(values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Image:
    clipped: Image = np.clip(values, 0, 255).astype(np.uint8)
    return clipped
