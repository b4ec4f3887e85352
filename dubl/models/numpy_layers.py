"""Layers of small convolutional networks in plain numpy, for processes without torch.

Maps are float32 [C,H,W].
"""

from __future__ import annotations

from itertools import product
from typing import Literal

import numpy as np

from dubl.types import Float32Array


def convolved(
    maps: Float32Array,
    weight: Float32Array,
    bias: Float32Array,
    *,
    padding: Literal["constant", "edge"] = "constant",
) -> Float32Array:
    """3x3 convolution, then ReLU: [C,H,W] by weights [C',C,3,3] → [C',H,W]."""
    height, width = maps.shape[1:]
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)), mode=padding)
    total = np.repeat(bias[:, None], height * width, axis=1)
    for row, column in product(range(3), range(3)):
        shifted = padded[:, row : row + height, column : column + width]
        total += weight[:, :, row, column] @ shifted.reshape(len(maps), -1)
    return np.maximum(total, 0).reshape(-1, height, width)


def pointwise(maps: Float32Array, weight: Float32Array, bias: Float32Array) -> Float32Array:
    """1x1 convolution to one map: [C,H,W] by weights [1,C,1,1] → [H,W]."""
    values: Float32Array = np.tensordot(weight[0, :, 0, 0], maps, axes=1) + bias[0]
    return values


def pooled(maps: Float32Array) -> Float32Array:
    """2x2 maxima: [C,H,W] → [C,⌊H/2⌋,⌊W/2⌋]."""
    height, width = maps.shape[1] // 2 * 2, maps.shape[2] // 2 * 2
    # Slices against each other: numpy's own maxima over short axes take ten times as long.
    rows = np.maximum(maps[:, 0:height:2, :width], maps[:, 1:height:2, :width])
    return np.maximum(rows[:, :, 0::2], rows[:, :, 1::2])
