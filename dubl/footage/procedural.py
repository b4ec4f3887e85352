"""Letters for the overlays of training."""

from __future__ import annotations

import numpy as np
from PIL import ImageFont

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def random_word(rng: np.random.Generator) -> str:
    """Two to nine letters or digits."""
    return "".join(_LETTERS[i] for i in rng.integers(len(_LETTERS), size=rng.integers(2, 10)))


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own typeface, so that no font file is needed; size in pixels."""
    return ImageFont.load_default(size)
