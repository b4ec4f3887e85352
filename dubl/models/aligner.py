"""A small network that finds the diagonals of copies in a frame similarity matrix.

The matrix of two videos is noisy: look-alike scenes fill whole blocks, still shots whole rows, and
an edit weakens the true diagonal. The network says of each cell how likely a copy runs through it,
from the cell's wide surroundings (compare the similarity alignment model of the first place in
Meta's Video Similarity Challenge, 2022). A U-Net (Ronneberger et al., 2015) of 0.12 M weights.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dubl.models.checkpoints import ModelCard, save_checkpoint
from dubl.models.numpy_aligner import (
    ALIGNER_CARD_FILE,
    ALIGNER_FILE,
    CHANNELS,
    SHARPNESS,
    WIDTHS,
)

RARE = -3.0  # log odds of a copy in a cell that nothing is known of


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
