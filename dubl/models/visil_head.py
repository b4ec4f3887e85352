"""The comparator network of ViSiL: a frame similarity matrix in, a cleaned and smaller one out.

Four convolutions, 1→32→64→128 of 3x3 and 128→1 of 1x1, with 2x2 max-pooling after the first two
(Kordopatis-Zilos et al., 2019, table 1). Without pooling the output keeps the input's size.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dubl.models.visil_config import Padding

POOLED_FRAMES = 4
HEAD_TILE = 1024
# Input frames that an output cell sees beyond its own: 1 + 2 + 4 with pooling (rounded up to whole
# cells), 1 + 1 + 1 without.
POOLED_HALO = 8
PLAIN_HALO = 3


class MaskedMatrix(NamedTuple):
    """Matrices and which of their cells are real; no mask means all."""

    values: Tensor  # [N,1,T,U], 0 outside the mask
    mask: Tensor | None  # bool [N,1,T,U]


class Span(NamedTuple):
    """One tile along one axis: what is read, and which output cells of it are kept."""

    read: slice
    keep: slice


class VisilHead(nn.Module):
    """Comparator network. `padding` is the rule with pooling; without, it is always replicate."""

    def __init__(self, *, padding: Padding = "zeros") -> None:
        super().__init__()
        self.padding = padding
        self.conv1 = nn.Conv2d(1, 32, 3)
        self.conv2 = nn.Conv2d(32, 64, 3)
        self.conv3 = nn.Conv2d(64, 128, 3)
        self.fconv = nn.Conv2d(128, 1, 1)
        for convolution in (self.conv1, self.conv2, self.conv3, self.fconv):
            nn.init.xavier_uniform_(convolution.weight)
            nn.init.zeros_(convolution.bias if convolution.bias is not None else torch.empty(0))

    def forward(
        self, matrix: MaskedMatrix, *, pooling: bool = True, tile: int = HEAD_TILE
    ) -> MaskedMatrix:
        """Raw output, before hard-tanh: [N,1,⌊T/4⌋,⌊U/4⌋] with pooling, else [N,1,T,U].

        The matrix is worked off in tiles of `tile` frames a side (a multiple of 4, at least 4)
        with as much overlap as an output cell sees: equal results, bounded memory.
        """
        height, width = matrix.values.shape[-2:]
        tile = max(POOLED_FRAMES, tile - tile % POOLED_FRAMES)
        if height <= tile and width <= tile:
            return self._compare(matrix, pooling=pooling)
        rows = [
            _join(
                [
                    self._tile(matrix, row, column, pooling)
                    for column in _spans(width, tile, pooling)
                ],
                dim=-1,
            )
            for row in _spans(height, tile, pooling)
        ]
        return _join(rows, dim=-2)

    def _tile(self, matrix: MaskedMatrix, row: Span, column: Span, pooling: bool) -> MaskedMatrix:
        part = _crop(matrix, row.read, column.read)
        return _crop(self._compare(part, pooling=pooling), row.keep, column.keep)

    def _compare(self, matrix: MaskedMatrix, *, pooling: bool) -> MaskedMatrix:
        matrix = _masked(matrix.values, matrix.mask)
        for convolution in (self.conv1, self.conv2, self.conv3):
            padded = self._pad(matrix.values, pooling)
            matrix = _masked(convolution(padded), matrix.mask)
            matrix = matrix._replace(values=F.relu(matrix.values))
            if pooling and convolution is not self.conv3:
                matrix = _pool(matrix)
        return _masked(self.fconv(matrix.values), matrix.mask)

    def _pad(self, values: Tensor, pooling: bool) -> Tensor:
        zeros = pooling and self.padding == "zeros"
        return F.pad(values, (1, 1, 1, 1), mode="constant" if zeros else "replicate")


def _masked(values: Tensor, mask: Tensor | None) -> MaskedMatrix:
    return MaskedMatrix(values if mask is None else values.masked_fill(~mask, 0.0), mask)


def _pool(matrix: MaskedMatrix) -> MaskedMatrix:
    """A pooled cell is valid where any of its four was."""
    mask = matrix.mask
    pooled = None if mask is None else F.max_pool2d(mask.float(), 2) > 0
    return MaskedMatrix(F.max_pool2d(matrix.values, 2), pooled)


def _spans(length: int, tile: int, pooling: bool) -> Iterator[Span]:
    cell, halo = (POOLED_FRAMES, POOLED_HALO) if pooling else (1, PLAIN_HALO)
    for start in range(0, length - length % cell, tile):
        stop = min(start + tile, length)
        first = max(0, start - halo)
        offset = (start - first) // cell
        count = stop // cell - start // cell
        yield Span(slice(first, min(stop + halo, length)), slice(offset, offset + count))


def _crop(matrix: MaskedMatrix, rows: slice, columns: slice) -> MaskedMatrix:
    mask = None if matrix.mask is None else matrix.mask[..., rows, columns]
    return MaskedMatrix(matrix.values[..., rows, columns], mask)


def _join(parts: list[MaskedMatrix], *, dim: int) -> MaskedMatrix:
    masks = [part.mask for part in parts if part.mask is not None]
    values = torch.cat([part.values for part in parts], dim=dim)
    return MaskedMatrix(values, torch.cat(masks, dim=dim) if masks else None)
