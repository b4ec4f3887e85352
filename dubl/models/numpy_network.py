"""The compact network in numpy, for machines that have no other runtime: makers of fingerprints.

The same function as dubl.models.compact, four to five times as slow as by OpenVINO. The
architecture is read from the names and shapes of the weights.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dubl.errors import WeightsUnavailable
from dubl.models.cards import Arrays, read_weights
from dubl.models.embedder import FrameDescriptions
from dubl.types import Float32Array, Uint8Array

GRID = 3
GEM_POWER = 3.0
STAGES = 5
REGION_STAGES = (2, 3, 4)  # strides 8, 16 and 32
_BATCH = 4  # frames computed at once; larger batches leave the processor's caches


class NumpyNetwork:
    """FrameNetwork (dubl.models.embedder) without a runtime. Threads may share one."""

    def __init__(self, folder: Path) -> None:
        """Reads the weights in a model's folder. Raises WeightsUnavailable."""
        self._arrays = read_weights(folder).arrays
        self._blocks = [_blocks(self._arrays, f"stages.{stage}.") for stage in range(STAGES)]
        if not all(self._blocks):
            raise WeightsUnavailable(f"the weights in {folder} do not fit this network")

    def describe(self, frames: Uint8Array) -> FrameDescriptions:
        """Features of frames [N,S,S,3]."""
        parts = [
            self._described(frames[first : first + _BATCH])
            for first in range(0, len(frames), _BATCH)
        ]
        descriptors, regions = (np.concatenate(part) for part in zip(*parts, strict=True))
        return FrameDescriptions(
            descriptors=descriptors.astype(np.float16), region_features=regions.astype(np.float16)
        )

    def _described(self, frames: Uint8Array) -> tuple[Float32Array, Float32Array]:
        maps: Float32Array = frames.astype(np.float32) / np.float32(128) - np.float32(1)
        regions = []
        for stage, blocks in enumerate(self._blocks):
            for block in blocks:
                maps = self._block(maps, block)
            if stage in REGION_STAGES:
                regions.append(_unit(_grid_maxima(maps)))
        pooled = np.mean(np.maximum(maps, 1e-6) ** GEM_POWER, axis=(1, 2)) ** (1 / GEM_POWER)
        descriptors = self._head(_unit(pooled.astype(np.float32)), "descriptor_head")
        return descriptors, self._head(np.concatenate(regions, axis=-1), "region_head")

    def _block(self, maps: Float32Array, name: str) -> Float32Array:
        """A convolution, or an inverted residual. The first block of a stage has stride 2, but for
        the second of the first stage."""
        stride = 2 if name.endswith(".0.") else 1
        if f"{name}convolution.weight" in self._arrays:
            return self._convolved(maps, f"{name}convolution", stride=stride, bounded=True)
        layers = sorted(key.removesuffix(".weight") for key in self._weights(f"{name}layers."))
        values = maps
        for layer in layers[:-1]:
            values = self._convolved(values, layer, stride=stride, bounded=True)
        values = self._convolved(values, layers[-1], stride=1, bounded=False)
        return maps + values if stride == 1 and values.shape == maps.shape else values

    def _weights(self, prefix: str) -> list[str]:
        return [key for key in self._arrays if key.startswith(prefix) and key.endswith(".weight")]

    def _convolved(
        self, maps: Float32Array, name: str, *, stride: int, bounded: bool
    ) -> Float32Array:
        """[N,H,W,C] with weights [O,C/groups,k,k]; by `bounded` limited to 0..6."""
        weight, bias = self._arrays[f"{name}.weight"], self._arrays[f"{name}.bias"]
        if weight.shape[2] == 1:
            values = maps @ weight[:, :, 0, 0].T
        else:
            windows = _shifted(maps, stride)
            if weight.shape[1] == 1:  # each channel alone
                values = np.zeros_like(windows[0])
                for place, window in enumerate(windows):
                    values += window * weight[:, 0].reshape(-1, 9)[:, place]
            else:
                columns = np.stack(windows, axis=-1).reshape(*windows[0].shape[:3], -1)
                values = columns @ weight.reshape(len(weight), -1).T
        values += bias
        if bounded:
            np.clip(values, 0.0, 6.0, out=values)
        return np.asarray(values, np.float32)

    def _head(self, values: Float32Array, name: str) -> Float32Array:
        return _unit(values @ self._arrays[f"{name}.weight"].T + self._arrays[f"{name}.bias"])


def _blocks(arrays: Arrays, prefix: str) -> list[str]:
    """The prefixes of the names of a stage's blocks, in order."""
    numbers = {int(key.removeprefix(prefix).split(".")[0]) for key in arrays if prefix in key}
    return [f"{prefix}{number}." for number in sorted(numbers)]


def _shifted(maps: Float32Array, stride: int) -> list[Float32Array]:
    """The nine neighbors of each place [N,H',W',C], row by row, with a border of zeros.

    With stride 2 the border is at the right and the bottom, and before odd sides (TensorFlow).
    """
    high, wide = maps.shape[1], maps.shape[2]
    top, left = (1, 1) if stride == 1 else (high % 2, wide % 2)
    padded = np.pad(maps, ((0, 0), (top, 1), (left, 1), (0, 0)))
    rows, columns = (padded.shape[1] - 3) // stride + 1, (padded.shape[2] - 3) // stride + 1
    return [
        padded[
            :, y : y + stride * (rows - 1) + 1 : stride, x : x + stride * (columns - 1) + 1 : stride
        ]
        for y in range(3)
        for x in range(3)
    ]


def _grid_maxima(maps: Float32Array) -> Float32Array:
    """Maxima over the cells of a 3x3 grid: [N,H,W,C] → [N,9,C], row by row."""
    cells = [
        [slice(i * side // GRID, -(-(i + 1) * side // GRID)) for i in range(GRID)]
        for side in maps.shape[1:3]
    ]
    found = [maps[:, row, column].max(axis=(1, 2)) for row in cells[0] for column in cells[1]]
    return np.stack(found, axis=1)


def _unit(values: Float32Array) -> Float32Array:
    lengths = np.linalg.norm(values, axis=-1, keepdims=True)
    return np.asarray(values / np.maximum(lengths, 1e-12), np.float32)
