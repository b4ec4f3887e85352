"""The compact default network: frames in, copy descriptors and region features out.

MobileNetV2 (Sandler et al., 2018, table 2; width 1.0) with batch normalization folded into the
convolutions, so that training in small batches and serving compute the same function. Two linear
heads stand on it:

- the frame descriptor: generalized-mean pooling (Radenovic et al., 2018, eq. 3, p = 3) of the
  last map, centered and projected to 256 dimensions, L2-normalized, as in SSCD (Pizzi et al.,
  2022);
- region features: maxima over a 3x3 grid of maps at stride 8, 16 and 32, each normalized over its
  channels, concatenated, centered and projected to 128 dimensions, L2-normalized: the L-iMAC
  construction of ViSiL (Kordopatis-Zilos et al., 2019, section 3.1).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dubl.errors import WeightsUnavailable
from dubl.models.checkpoints import ModelCard, load_checkpoint, save_checkpoint
from dubl.models.torch_network import FrameFeatures

FRAME_SIZE = 160
DESCRIPTOR_DIMS = 256
GRID = 3
REGION_DIMS = 128
GEM_POWER = 3.0
# (expansion, channels, blocks, stride) of each stage; its first block carries the stride.
STAGES: tuple[tuple[tuple[int, int, int, int], ...], ...] = (
    ((1, 16, 1, 1),),
    ((6, 24, 2, 2),),
    ((6, 32, 3, 2),),
    ((6, 64, 4, 2), (6, 96, 3, 1)),
    ((6, 160, 3, 2), (6, 320, 1, 1)),
)
STEM_CHANNELS = 32
LAST_CHANNELS = 1280
REGION_CHANNELS = 32 + 96 + LAST_CHANNELS


class Convolution(nn.Module):
    """Convolution with bias, 'SAME' padding as TensorFlow counts it, and optionally ReLU6.

    With stride 2 and an even side, TensorFlow pads only at the right and the bottom.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        bounded: bool = True,
    ) -> None:
        super().__init__()
        self.bounded = bounded
        self.strided = stride > 1
        padding = 0 if self.strided else kernel // 2
        self.convolution = nn.Conv2d(
            channels_in, channels_out, kernel, stride=stride, padding=padding, groups=groups
        )

    def forward(self, maps: Tensor) -> Tensor:
        """[N, C, H, W] → [N, C', ceil(H / stride), ceil(W / stride)]."""
        if self.strided:
            top, left = maps.shape[2] % 2, maps.shape[3] % 2
            maps = F.pad(maps, (left, 1, top, 1))
        maps = self.convolution(maps)
        return F.hardtanh(maps, 0.0, 6.0, inplace=True) if self.bounded else maps


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; with a shortcut where the shapes allow it."""

    def __init__(self, channels_in: int, channels_out: int, *, expansion: int, stride: int) -> None:
        super().__init__()
        wide = channels_in * expansion
        layers = [Convolution(channels_in, wide)] if expansion > 1 else []
        layers.append(Convolution(wide, wide, kernel=3, stride=stride, groups=wide))
        layers.append(Convolution(wide, channels_out, bounded=False))
        self.layers = nn.Sequential(*layers)
        self.shortcut = stride == 1 and channels_in == channels_out

    def forward(self, maps: Tensor) -> Tensor:
        """[N, C, H, W] → [N, C', H', W']."""
        filtered: Tensor = self.layers(maps)
        return maps + filtered if self.shortcut else filtered


class CompactNet(nn.Module):
    """uint8 frames [N, S, S, 3], squashed to a square → `FrameFeatures`.

    The preprocessing (scaling to [-1, 1]) is part of the module. S is 160 by default; any side
    of at least 65 works. `stages` are the network's five resolutions, stride 2 to 32.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList(_stages())
        self.descriptor_head = nn.Linear(LAST_CHANNELS, DESCRIPTOR_DIMS)
        self.region_head = nn.Linear(REGION_CHANNELS, REGION_DIMS)

    def forward(self, frames: Tensor) -> FrameFeatures:
        """uint8 [N, S, S, 3] → descriptors [N, 256] and region features [N, 9, 128]."""
        return self.heads(self.maps(frames))

    def heads(self, maps: list[Tensor]) -> FrameFeatures:
        """Maps of all stages → descriptors [N, 256] and region features [N, 9, 128]."""
        pooled, regions = self.pool(maps)
        descriptors = F.normalize(self.descriptor_head(pooled), dim=-1)
        return FrameFeatures(descriptors, F.normalize(self.region_head(regions), dim=-1))

    def maps(self, frames: Tensor) -> list[Tensor]:
        """uint8 [N, S, S, 3] → the maps at stride 2, 4, 8, 16 and 32, [N, C, H, W] each."""
        maps = frame_planes(frames)
        results = []
        for stage in self.stages:
            maps = stage(maps)
            results.append(maps)
        return results

    def pool(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Maps of all stages → pooled [N, 1280] and pooled regions [N, 9, 1408], no heads yet."""
        regions = torch.cat([F.normalize(grid_maxima(part), dim=-1) for part in maps[2:]], dim=-1)
        return F.normalize(generalized_mean(maps[-1]), dim=-1), regions


def frame_planes(frames: Tensor) -> Tensor:
    """uint8 [N, S, S, 3] → float [N, 3, S, S] in -1..1, channels-last without a copy."""
    return frames.permute(0, 3, 1, 2).float() / 128.0 - 1.0


def generalized_mean(maps: Tensor) -> Tensor:
    """Generalized-mean pooling, (mean x^p)^(1/p) with p = 3: [N, C, H, W] → [N, C]."""
    powers = maps.clamp(min=1e-6) ** GEM_POWER
    return torch.as_tensor(powers.mean(dim=(2, 3)) ** (1.0 / GEM_POWER))


def grid_maxima(maps: Tensor) -> Tensor:
    """Maxima over the cells of a 3x3 grid: [N, C, H, W] → [N, 9, C], row by row.

    Cells overlap by one row or column where the side is not a multiple of three.
    """
    rows = [maps[:, :, cell].amax(dim=2) for cell in _cells(maps.shape[2])]
    columns = _cells(maps.shape[3])
    return torch.stack([row[:, :, cell].amax(dim=2) for row in rows for cell in columns], dim=1)


def load_compact(folder: Path) -> CompactNet:
    """Reads the weights, checked against the sha256 in `card.json`, ready for inference.

    Raises WeightsUnavailable when a file is absent, altered or does not fit the network.
    """
    checkpoint = load_checkpoint(folder)
    network = CompactNet()
    try:
        network.load_state_dict(checkpoint.state)
    except RuntimeError as exc:
        raise WeightsUnavailable(f"the weights in {folder} do not fit this network") from exc
    return network.to(memory_format=torch.channels_last).eval().requires_grad_(False)


def save_compact(folder: Path, network: CompactNet, card: ModelCard) -> ModelCard:
    """Writes a model's folder, in float16; `card` needs no `feature`. Returns the card with its
    sha256."""
    feature: dict[str, str | int] = {
        "frame_size": FRAME_SIZE,
        "resize": "squash",
        "descriptor_dims": DESCRIPTOR_DIMS,
        "regions": GRID * GRID,
        "region_dims": REGION_DIMS,
    }
    return save_checkpoint(folder, network.state_dict(), replace(card, feature=feature))


def _stages() -> list[nn.Sequential]:
    stages = []
    channels = STEM_CHANNELS
    for index, groups in enumerate(STAGES):
        layers: list[nn.Module] = []
        if index == 0:
            layers.append(Convolution(3, channels, kernel=3, stride=2))
        for expansion, width, blocks, stride in groups:
            for block in range(blocks):
                step = stride if block == 0 else 1
                layers.append(InvertedResidual(channels, width, expansion=expansion, stride=step))
                channels = width
        stages.append(nn.Sequential(*layers))
    stages[-1].append(Convolution(channels, LAST_CHANNELS))
    return stages


def _cells(side: int) -> list[slice]:
    return [slice(i * side // GRID, -(-(i + 1) * side // GRID)) for i in range(GRID)]
