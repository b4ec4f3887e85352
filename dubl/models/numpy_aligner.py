"""The aligner in plain numpy: weakens the cells of a similarity matrix that no copy runs through.

The matrix of two clips is small (some thousand cells), so that numpy needs a few milliseconds, in
a process without torch. dubl.models.aligner has the same network by torch, for training.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np

from dubl.errors import WeightsUnavailable
from dubl.models.cards import read_weights_file
from dubl.models.numpy_layers import convolved, enlarged, pointwise, pooled
from dubl.models.state_file import State, read_arrays
from dubl.types import Float16Array, Float32Array

ALIGNER_FILE = "aligner.pt"
ALIGNER_CARD_FILE = "aligner.json"
WIDTHS = (16, 24, 32, 48)
CHANNELS = 3
SHARPNESS = 0.18  # as dubl.matching.alignment has it
# What the network cannot see keeps this share of its weight: it may be wrong.
FLOOR = 0.3
TILE = 512
HALO = 64  # cells that an answer sees beyond its own, a multiple of 8
MAX_CELLS = 1_000_000


class NumpyAligner:
    """A MatrixCleaner (dubl.ports) with trained weights."""

    def __init__(self, state: State) -> None:
        self._state = state

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """The aligner of a model's folder, or None where it has none.

        Raises WeightsUnavailable when it is damaged or does not fit.
        """
        path = folder / ALIGNER_FILE
        if not path.exists():
            return None
        content, _ = read_weights_file(
            folder, weights_file=ALIGNER_FILE, card_file=ALIGNER_CARD_FILE
        )
        state = read_arrays(content, name=str(path))
        if {name: values.shape for name, values in state.items()} != expected_shapes():
            raise WeightsUnavailable(f"{path} does not hold an aligner's weights")
        return cls(state)

    def clean(self, similarity: Float16Array) -> Float32Array:
        """The matrix [T,U], each cell weakened by how unlikely a copy runs through it:
        sqrt(s · (0.3 + 0.7 p)). Matrices of more than a million cells stay as they are: half an
        hour against a quarter of an hour would take seconds."""
        values = similarity.astype(np.float32)
        if not values.size or values.size > MAX_CELLS:
            return values
        cleaned: Float32Array = np.sqrt(values * (FLOOR + (1 - FLOOR) * self._chances(values)))
        return cleaned

    def _chances(self, matrix: Float32Array) -> Float32Array:
        """In tiles that overlap by all that an answer sees."""
        channels = matrix_channels(matrix)
        chances = np.empty_like(matrix)
        for rows, row_part in _tiles(matrix.shape[0]):
            for columns, column_part in _tiles(matrix.shape[1]):
                logits = self._logits(channels[:, row_part, column_part])
                top, left = rows.start - row_part.start, columns.start - column_part.start
                height, width = rows.stop - rows.start, columns.stop - columns.start
                inner = logits[top : top + height, left : left + width]
                chances[rows, columns] = 1 / (1 + np.exp(-inner))
        return chances

    def _logits(self, channels: Float32Array) -> Float32Array:
        """[3,T,U] → [T,U]."""
        maps, kept = channels, []
        for level in range(len(WIDTHS)):
            maps = self._block(_halved(maps) if level else maps, f"down.{level}")
            kept.append(maps)
        maps = kept.pop()
        for number in range(len(WIDTHS) - 1):
            flat = kept.pop()
            wide = enlarged(maps, *flat.shape[1:])
            maps = self._block(np.concatenate([wide, flat]), f"up.{number}")
        return pointwise(maps, self._state["last.weight"], self._state["last.bias"])

    def _block(self, maps: Float32Array, name: str) -> Float32Array:
        for layer in (0, 2):
            prefix = f"{name}.{layer}"
            maps = convolved(maps, self._state[f"{prefix}.weight"], self._state[f"{prefix}.bias"])
        return maps


def matrix_channels(matrix: Float32Array) -> Float32Array:
    """[T,U] in [0,1] → [3,T,U]: the similarity; how near it comes to the best of its row and of
    its column; how far it stands above the mean of both."""
    best = matrix.max(axis=1, keepdims=True) + matrix.max(axis=0, keepdims=True)
    votes = np.minimum(np.exp((2 * matrix - best) / SHARPNESS), 1.0)
    means = np.maximum(matrix.mean(axis=1, keepdims=True), matrix.mean(axis=0, keepdims=True))
    contrast = matrix - means
    return np.stack([matrix, votes, contrast]).astype(np.float32)


def expected_shapes() -> dict[str, tuple[int, ...]]:
    """Shapes of the weights by name."""
    inputs = {
        **{
            f"down.{level}": (before, width)
            for level, (before, width) in enumerate(zip((CHANNELS, *WIDTHS), WIDTHS, strict=False))
        },
        **{
            f"up.{number}": (deep + flat, flat)
            for number, (flat, deep) in enumerate(zip(WIDTHS[-2::-1], WIDTHS[:0:-1], strict=True))
        },
    }
    shapes: dict[str, tuple[int, ...]] = {"last.weight": (1, WIDTHS[0], 1, 1), "last.bias": (1,)}
    for name, (before, width) in inputs.items():
        shapes[f"{name}.0.weight"] = (width, before, 3, 3)
        shapes[f"{name}.2.weight"] = (width, width, 3, 3)
        shapes |= {f"{name}.{layer}.bias": (width,) for layer in (0, 2)}
    return shapes


def _halved(maps: Float32Array) -> Float32Array:
    """2x2 maxima; an odd last row or column is one by itself."""
    odd = [(0, side % 2) for side in maps.shape[1:]]
    return pooled(np.pad(maps, [(0, 0), *odd], mode="edge"))


def _tiles(length: int) -> Iterator[tuple[slice, slice]]:
    """Where answers are taken from, and what is read for them."""
    for start in range(0, length, TILE):
        stop = min(start + TILE, length)
        yield slice(start, stop), slice(max(0, start - HALO), min(stop + HALO, length))
