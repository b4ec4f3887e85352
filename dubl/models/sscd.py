"""SSCD: a ResNet50 that its authors trained for copies of pictures (Pizzi et al., CVPR 2022).

A descriptor is the paper's (section 4.1): generalized mean of the last map over all places, a
linear layer, L2 norm. Region features are ours: the same over a grid of windows of that map.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional as F

from dubl.errors import WeightsUnavailable
from dubl.models.checkpoints import ModelCard, load_checkpoint, save_checkpoint
from dubl.models.limac import FrameNormalizer
from dubl.models.torch_network import FrameFeatures

SSCD = "sscd"
FRAME_SIZE = 288  # pixels; the authors' size of tests
GRID = 3  # windows a side
DIMS = 512
POWER = 3.0  # of the generalized mean, as it was trained
LEAST = 1e-6  # of an activation, as it was trained


class SscdNetwork(nn.Module):
    """uint8 frames [N,S,S,3] → FrameFeatures with 512 numbers for each frame and region.

    State-dict keys are those of the authors' file for torchvision: backbone.<resnet50, with an fc
    of 512 outputs>. Use in eval mode.
    """

    def __init__(self) -> None:
        super().__init__()
        # Seconds of imports, which the compact network does not need.
        from torchvision.models import resnet50

        self.normalizer = FrameNormalizer()
        self.backbone: nn.Module = resnet50(weights=None, num_classes=DIMS)
        # What comes after the last map is done here.
        self.trunk = list(self.backbone.named_children())[:-2]

    def forward(self, frames: Tensor) -> FrameFeatures:
        maps = self.normalizer(frames)
        for _, module in self.trunk:
            maps = module(maps)
        powers = maps.float().clamp(min=LEAST).pow(POWER)
        descriptors = self._described(powers.mean(dim=(2, 3)))
        windows = F.adaptive_avg_pool2d(powers, GRID).flatten(2).mT
        return FrameFeatures(descriptors, self._described(windows))

    def _described(self, means: Tensor) -> Tensor:
        """Unit vectors [...,512] of mean powers [...,2048]."""
        vectors: Tensor = self.backbone.get_submodule("fc")(means.pow(1 / POWER))
        return F.normalize(vectors.float(), dim=-1)


def filled(network: SscdNetwork, state: dict[str, Tensor], *, source: object) -> SscdNetwork:
    """The network with these weights, in eval mode. Raises WeightsUnavailable."""
    try:
        network.backbone.load_state_dict(
            {key.removeprefix("backbone."): value for key, value in state.items()}
        )
    except RuntimeError as exc:
        raise WeightsUnavailable(f"{source} does not hold the weights of SSCD: {exc}") from exc
    return network.eval().requires_grad_(False)


def load_sscd(folder: Path) -> SscdNetwork:
    """Reads a model's folder. Raises WeightsUnavailable."""
    state, _ = load_checkpoint(folder)
    return filled(SscdNetwork(), state, source=folder)


def save_sscd(folder: Path, network: SscdNetwork, card: ModelCard) -> None:
    """Writes a model's folder in float32; `card` needs no `feature`."""
    feature: dict[str, str | int] = {
        "network": SSCD,
        "frame_size": FRAME_SIZE,
        "resize": "squash",
        "descriptor_dims": DIMS,
        "regions": GRID * GRID,
        "region_dims": DIMS,
    }
    save_checkpoint(
        folder, network.backbone.state_dict(), replace(card, feature=feature), half=False
    )
