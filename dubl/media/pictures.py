"""From a decoded picture to the square input of a network.

Squashed pictures are scaled with swscale's bilinear filter, as in decord. Its support grows with
the scale, so it does not alias. Cropped pictures use bicubic, as in ViSiL.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from dubl.types import Sampling, Uint8Array

_CROP_MARGIN = 8 / 7  # short side over crop; by ViSiL, which crops 224 of 256 pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureLayout:
    """Scale to width x height, then cut out the center square of side `side`."""

    width: int
    height: int
    side: int
    interpolation: Literal["BILINEAR", "BICUBIC"]

    def cut(self, image: Uint8Array) -> Uint8Array:
        """The center square of a scaled picture [height, width, 3]."""
        top, left = (self.height - self.side) // 2, (self.width - self.side) // 2
        return image[top : top + self.side, left : left + self.side]


def layout_for(width: int, height: int, *, sampling: Sampling) -> PictureLayout:
    """The layout for a picture of width x height pixels.

    With "crop" each side becomes ceil(side * ratio / 2) * 2, where `ratio` scales the short side to
    8/7 of the square.
    """
    side = sampling.frame_size
    if sampling.resize == "squash":
        return PictureLayout(width=side, height=side, side=side, interpolation="BILINEAR")
    ratio = round(side * _CROP_MARGIN) / min(width, height)
    return PictureLayout(
        width=_even(width * ratio), height=_even(height * ratio), side=side, interpolation="BICUBIC"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Orientation:
    """How a player displays the stored picture: transposed first, then mirrored."""

    transposed: bool = False
    mirrored_x: bool = False
    mirrored_y: bool = False

    @property
    def is_upright(self) -> bool:
        return not (self.transposed or self.mirrored_x or self.mirrored_y)

    @property
    def clockwise_deg(self) -> int:
        """The rotation in degrees, after any mirroring."""
        if self.transposed:
            return 90 if self.mirrored_x else 270
        return 180 if self.mirrored_y else 0

    def apply(self, image: Uint8Array) -> Uint8Array:
        """Turns a picture [H, W, 3]."""
        if self.transposed:
            image = image.transpose(1, 0, 2)
        if self.mirrored_x:
            image = image[:, ::-1]
        return image[::-1] if self.mirrored_y else image


def orientation_of(frame: VideoFrame) -> Orientation:
    """Reads the display matrix (ISO/IEC 14496-12, 6.2.2): x' = a x + c y, y' = b x + d y.

    Rotations are rounded to quarter turns.
    """
    if "DISPLAYMATRIX" not in frame.side_data:
        return Orientation()
    stored = frame.side_data["DISPLAYMATRIX"]  # type: ignore[typeddict-item]
    matrix = np.frombuffer(bytes(stored)[:36], dtype=np.int32).reshape(3, 3)
    (a, b), (c, d) = matrix[:2, :2].tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(mirrored_x=a < 0, mirrored_y=d < 0)
    return Orientation(transposed=True, mirrored_x=c < 0, mirrored_y=b < 0)


class Scaler:
    """Scales decoded frames of one video; keeps swscale's tables between them."""

    def __init__(self, *, sampling: Sampling, orientation: Orientation) -> None:
        self._sampling = sampling
        self._orientation = orientation
        self._reformatter = VideoReformatter()

    def draw(self, frame: VideoFrame) -> Uint8Array:
        """The upright picture, uint8 [frame_size, frame_size, 3] RGB."""
        layout = layout_for(frame.width, frame.height, sampling=self._sampling)
        scaled = self._reformatter.reformat(
            frame,
            width=layout.width,
            height=layout.height,
            format="rgb24",
            interpolation=layout.interpolation,
            threads=1,
        )
        image: Uint8Array = np.asarray(scaled.to_ndarray(), dtype=np.uint8)
        return self._orientation.apply(layout.cut(image))


def _even(length: float) -> int:
    # 1e-9: a product such as 720 * (256 / 720) may be slightly above the whole number.
    return math.ceil(length / 2 - 1e-9) * 2
