"""A small network that finds the diagonals of copies in a frame similarity matrix.

The matrix of two videos is noisy: look-alike scenes fill whole blocks, still shots whole rows, and
an edit weakens the true diagonal. The network says of each cell how likely a copy runs through it,
from the cell's wide surroundings (compare the similarity alignment model of the first place in
Meta's Video Similarity Challenge, 2022). A U-Net (Ronneberger et al., 2015) of 0.12 M weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dubl.errors import WeightsUnavailable
from dubl.models.checkpoints import ModelCard, load_checkpoint, save_checkpoint
from dubl.types import Float16Array, Float32Array

ALIGNER_FILE = "aligner.pt"
ALIGNER_CARD_FILE = "aligner.json"
WIDTHS = (16, 24, 32, 48)
CHANNELS = 3
SHARPNESS = 0.18  # as dubl.matching.alignment has it
RARE = -3.0  # log odds of a copy in a cell that nothing is known of
# What the network cannot see keeps this share of its weight: it may be wrong.
FLOOR = 0.3
TILE = 512
HALO = 64  # cells that an answer sees beyond its own, a multiple of 8
MAX_CELLS = 4_000_000


class AlignerNet(nn.Module):
    """Channels [N,3,T,U] of matrices (`matrix_channels`) → logits [N,1,T,U]."""

    def __init__(self) -> None:
        super().__init__()
        inputs = (CHANNELS, *WIDTHS[:-1])
        self.down = nn.ModuleList(
            _block(before, width) for before, width in zip(inputs, WIDTHS, strict=True)
        )
        self.up = nn.ModuleList(
            _block(deep + flat, flat)
            for flat, deep in zip(WIDTHS[-2::-1], WIDTHS[:0:-1], strict=True)
        )
        self.last = nn.Conv2d(WIDTHS[0], 1, 1)
        with torch.no_grad():
            assert self.last.bias is not None
            self.last.bias.fill_(RARE)

    def forward(self, channels: Tensor) -> Tensor:
        maps, kept = channels, []
        for level, block in enumerate(self.down):
            maps = block(F.max_pool2d(maps, 2, ceil_mode=True) if level else maps)
            kept.append(maps)
        maps = kept.pop()
        for block in self.up:
            flat = kept.pop()
            wide = F.interpolate(maps, size=flat.shape[-2:], mode="bilinear", align_corners=False)
            maps = block(torch.cat([wide, flat], dim=1))
        logits: Tensor = self.last(maps)
        return logits


def matrix_channels(matrices: Tensor, mask: Tensor) -> Tensor:
    """Matrices [N,1,T,U] in [0,1], mask alike (1 at real cells) → [N,3,T,U], 0 outside the mask.

    The similarity; how near it comes to the best of its row and of its column; how far it stands
    above the mean of both.
    """
    hidden = matrices.masked_fill(mask < 0.5, -10.0)
    best = hidden.amax(dim=-1, keepdim=True) + hidden.amax(dim=-2, keepdim=True)
    votes = torch.exp((2 * matrices - best) / SHARPNESS).clamp(max=1.0)
    total = matrices * mask
    rows = total.sum(-1, keepdim=True) / mask.sum(-1, keepdim=True).clamp(min=1)
    columns = total.sum(-2, keepdim=True) / mask.sum(-2, keepdim=True).clamp(min=1)
    contrast = matrices - torch.maximum(rows, columns)
    return torch.cat([matrices, votes, contrast], dim=1) * mask


class TorchAligner:
    """Cleans similarity matrices with a trained network."""

    def __init__(self, network: AlignerNet, *, threads: int = 1) -> None:
        torch.set_num_threads(threads)
        self._network = network

    @torch.inference_mode()
    def clean(self, similarity: Float16Array) -> Float32Array:
        """The matrix [T,U], each cell weakened by how unlikely a copy runs through it:
        sqrt(s · (0.3 + 0.7 p)). Matrices of more than four million cells stay as they are."""
        values = similarity.astype(np.float32)
        if not values.size or values.size > MAX_CELLS:
            return values
        matrix = torch.from_numpy(values)[None, None]
        chances = self._chances(matrix_channels(matrix, torch.ones_like(matrix)))
        cleaned: Float32Array = np.sqrt(values * (FLOOR + (1 - FLOOR) * chances.numpy()))
        return cleaned

    def _chances(self, channels: Tensor) -> Tensor:
        """[1,3,T,U] → [T,U], in tiles that overlap by all that an answer sees."""
        chances = torch.empty(channels.shape[-2:])
        for rows, row_part in _tiles(channels.shape[-2]):
            for columns, column_part in _tiles(channels.shape[-1]):
                logits = self._network(channels[..., row_part, column_part])[0, 0]
                top, left = rows.start - row_part.start, columns.start - column_part.start
                height, width = rows.stop - rows.start, columns.stop - columns.start
                inner = logits[top : top + height, left : left + width]
                chances[rows, columns] = torch.sigmoid(inner)
        return chances


def _tiles(length: int) -> Iterator[tuple[slice, slice]]:
    """Where answers are taken from, and what is read for them."""
    for start in range(0, length, TILE):
        stop = min(start + TILE, length)
        yield slice(start, stop), slice(max(0, start - HALO), min(stop + HALO, length))


def _block(before: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, width, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(width, width, 3, padding=1),
        nn.ReLU(inplace=True),
    )


def save_aligner(folder: Path, network: AlignerNet, card: ModelCard) -> None:
    """Writes `aligner.pt` (float16) and `aligner.json` into `folder`."""
    save_checkpoint(
        folder,
        network.state_dict(),
        card,
        weights_file=ALIGNER_FILE,
        card_file=ALIGNER_CARD_FILE,
    )


def load_aligner(folder: Path) -> AlignerNet | None:
    """The network in a model's folder, ready for inference, or None where there is none.

    Raises WeightsUnavailable when it is damaged or does not fit.
    """
    if not (folder / ALIGNER_FILE).exists():
        return None
    state, _ = load_checkpoint(folder, weights_file=ALIGNER_FILE, card_file=ALIGNER_CARD_FILE)
    network = AlignerNet()
    try:
        network.load_state_dict(state)
    except RuntimeError as exc:
        raise WeightsUnavailable(f"{folder / ALIGNER_FILE} is no aligner") from exc
    return network.eval().requires_grad_(False)
