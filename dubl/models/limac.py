"""Region features of ResNet50, as S2VS, ViSiL and DnS take them: L-iMAC over four stages.

Each stage's map is max-pooled over a coarse grid of overlapping regions, the four are brought to
one grid, normalized over their channels and concatenated to 3840 numbers a region (intermediate
maximum activations of convolutions, Kordopatis-Zilos et al., 2017; the grid: ViSiL, 2019, section
3.1). PCA whitening makes 512 of them.

The weights are torchvision's resnet50 IMAGENET1K_V1; other ResNet50 weights fit in shape and give
features in which the published whitening means nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dubl.errors import FeatureSpaceMismatch, WeightsUnavailable
from dubl.models.checkpoints import ModelCard, load_checkpoint, save_checkpoint
from dubl.models.torch_network import FrameFeatures
from dubl.models.visil_config import REGION_CHANNELS as REGION_CHANNELS

STAGE_KERNELS = (28, 14, 6, 3)
FRAME_SIZE = 224
REGIONS = 9  # of such a frame
LIMAC = "limac"
WHITENING_EPSILON = 1e-7
CHANNEL_MEAN = (0.485, 0.456, 0.406)
CHANNEL_STD = (0.229, 0.224, 0.225)


def stage_regions(stages: Sequence[Tensor]) -> Tensor:
    """Unit region vectors [N,R,C] of stage maps [N,C_s,H_s,W_s], R row by row over the grid.

    Per stage: max-pool with STAGE_KERNELS and half of it as stride, L2 norm over channels, adaptive
    max-pool to the last stage's grid, L2 norm again; then the channels of all stages, L2 norm.
    224x224 frames give a 3x3 grid, 224x320 give 3x4.
    """
    pooled = [_pooled(stage, kernel) for stage, kernel in zip(stages, STAGE_KERNELS, strict=True)]
    height, width = pooled[-1].shape[-2:]
    aligned = [F.normalize(F.adaptive_max_pool2d(one, (height, width)), dim=1) for one in pooled]
    return F.normalize(torch.cat(aligned, dim=1).flatten(2).mT, dim=-1)


def _pooled(stage: Tensor, kernel: int) -> Tensor:
    if min(stage.shape[-2:]) < kernel:
        raise FeatureSpaceMismatch(
            f"a stage map of {tuple(stage.shape[-2:])} is smaller than its {kernel}x{kernel} "
            "regions: frames must have at least 112 pixels a side"
        )
    return F.normalize(F.max_pool2d(stage, kernel, stride=-(-kernel // 2)), dim=1)


class PCAWhitening(nn.Module):
    """y = L2 norm of (x − mean)·V·D^(-1/2): projected to the first components, equal variances.

    Buffers: `mean` [D], `DVt` [D,n] (its published name; it holds V·D^(-1/2)).
    """

    mean: Tensor
    DVt: Tensor

    def __init__(self, dims: int = REGION_CHANNELS, components: int = 512) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dims))
        self.register_buffer("DVt", torch.eye(dims, components))

    @classmethod
    def from_decomposition(
        cls, mean: Tensor, eigenvalues: Tensor, eigenvectors: Tensor, *, components: int
    ) -> Self:
        """From mean [D] or [1,D], eigenvalues [D] and eigenvectors [D,D] in columns, any order."""
        order = torch.argsort(eigenvalues, descending=True, stable=True)[:components]
        if len(order) < components:
            raise FeatureSpaceMismatch(f"{len(order)} eigenvectors cannot give {components} dims")
        whitening = cls(eigenvectors.shape[0], components)
        scale = torch.sqrt(eigenvalues[order] + WHITENING_EPSILON)
        whitening.mean = mean.reshape(-1).float()
        whitening.DVt = (eigenvectors[:, order] / scale).float()
        return whitening

    def forward(self, vectors: Tensor) -> Tensor:
        """Whitened unit vectors [...,n] of vectors [...,D]; the input is left as it is."""
        return F.normalize((vectors - self.mean) @ self.DVt, dim=-1)


def fit_whitening(batches: Iterable[Tensor], *, components: int) -> PCAWhitening:
    """Whitening learned from batches of region vectors [n,D], read once.

    Sums of x and xᵀx in float64 give the scatter Σ(x − μ)(x − μ)ᵀ = Σxxᵀ − n·μμᵀ. It is not divided
    by n, as in the published whitening; that scales all components alike.
    """
    count, total, products = 0, torch.zeros(1), torch.zeros(1)
    for batch in batches:
        vectors = batch.reshape(-1, batch.shape[-1]).double()
        count += len(vectors)
        total = total + vectors.sum(0)
        products = products + vectors.T @ vectors
    if count <= components:
        raise FeatureSpaceMismatch(f"{count} region vectors cannot fit {components} components")
    mean = total / count
    eigenvalues, eigenvectors = torch.linalg.eigh(products - count * torch.outer(mean, mean))
    return PCAWhitening.from_decomposition(
        mean, eigenvalues.clamp(min=0), eigenvectors, components=components
    )


class FrameNormalizer(nn.Module):
    """uint8 frames [N,H,W,3] to normalized maps [N,3,H,W]."""

    scale: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor([255.0]))
        self.register_buffer("mean", torch.tensor(CHANNEL_MEAN))
        self.register_buffer("std", torch.tensor(CHANNEL_STD))

    def forward(self, frames: Tensor) -> Tensor:
        unit = frames.float() / self.scale
        return ((unit - self.mean) / self.std).permute(0, 3, 1, 2)


class ResnetRegions(nn.Module):
    """Region vectors [N,R,3840] of normalized frames [N,3,H,W]."""

    def __init__(self) -> None:
        super().__init__()
        # Seconds of imports, which the compact network does not need.
        from torchvision.models import resnet50

        trunk: nn.Module = resnet50(weights=None)
        del trunk.fc
        self.cnn = trunk

    def forward(self, maps: Tensor) -> Tensor:
        return stage_regions(self.stages(maps))

    def stages(self, maps: Tensor) -> list[Tensor]:
        """Outputs of layer1..layer4, at strides 4, 8, 16 and 32."""
        stages = []
        for name, module in self.cnn.named_children():
            if name == "avgpool":
                break
            maps = module(maps)
            if name.startswith("layer"):
                stages.append(maps)
        return stages


class LimacExtractor(nn.Sequential):
    """Region features [N,R,n] of frames [N,H,W,3], whitened to n = `components` numbers; with
    REGION_CHANNELS of them they are not whitened. Use in eval mode.

    State-dict keys: 0.{scale,mean,std}, 1.0.cnn.<resnet50 without fc>, 1.1.{mean,DVt}.
    """

    def __init__(self, *, components: int = 512) -> None:
        regions: list[nn.Module] = [ResnetRegions()]
        if components < REGION_CHANNELS:
            regions.append(PCAWhitening(REGION_CHANNELS, components))
        super().__init__(FrameNormalizer(), nn.Sequential(*regions))
        self.components = components
        self.eval()


class LimacNetwork(nn.Module):
    """uint8 frames [N,224,224,3] → FrameFeatures, for indexing and for matching.

    The family describes regions alone; a frame's descriptor, by which candidates are searched, is
    the direction of the mean of its regions.
    """

    def __init__(self, extractor: LimacExtractor) -> None:
        super().__init__()
        self.extractor = extractor

    def forward(self, frames: Tensor) -> FrameFeatures:
        regions = self.extractor(frames)
        return FrameFeatures(F.normalize(regions.mean(dim=1), dim=-1), regions)


def load_limac(folder: Path) -> LimacNetwork:
    """Reads the extractor in a model's folder, ready for inference.

    Raises WeightsUnavailable when a file is absent, altered or does not fit.
    """
    state, card = load_checkpoint(folder)
    try:
        with torch.device("meta"):  # no random weights that are replaced at once
            extractor = LimacExtractor(components=int(card.feature["region_dims"]))
        extractor.load_state_dict(state, assign=True)
    except (RuntimeError, KeyError, ValueError) as exc:
        raise WeightsUnavailable(f"the weights in {folder} do not fit L-iMAC") from exc
    return LimacNetwork(extractor).eval().requires_grad_(False)


def save_limac(folder: Path, extractor: LimacExtractor, card: ModelCard) -> ModelCard:
    """Writes a model's folder; `card` needs no `feature`. Returns the card with its sha256.

    In float32: the entries of the whitening are too small for float16.
    """
    feature: dict[str, str | int] = {
        "network": LIMAC,
        "frame_size": FRAME_SIZE,
        "resize": "crop",
        "descriptor_dims": extractor.components,
        "regions": REGIONS,
        "region_dims": extractor.components,
    }
    stamped = replace(card, feature=feature)
    return save_checkpoint(folder, extractor.state_dict(), stamped, half=False)
