"""Flashes: other pictures that are shown for a moment, after which the former ones go on.

They may keep the rhythm of the sampling, so that all sampled pictures are of something else. So a
later picture stands in for one that flashes (PyAvReader).
"""

from __future__ import annotations

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from dubl.types import Float32Array

# All values are chosen, on train clips.
BEFORE = 1 / 3  # sampling steps before a row at which the former picture is looked at
MIN_DIFFERENCE = 16.0  # gray levels, mean, between a picture and the former one
SIDE = 16  # pixels of a glimpse


class Glimpser:
    """Small gray versions of pictures, which are made quickly."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def glimpse(self, frame: VideoFrame) -> Float32Array:
        """Gray levels [SIDE,SIDE]."""
        small = self._reformatter.reformat(frame, SIDE, SIDE, "gray", interpolation="FAST_BILINEAR")
        gray: Float32Array = small.to_ndarray().astype(np.float32)
        return gray


def difference(one: Float32Array, other: Float32Array) -> float:
    """Mean difference of two glimpses, in gray levels."""
    return float(np.abs(one - other).mean())
