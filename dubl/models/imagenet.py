"""Region vectors of the plain ImageNet ResNet50, as a baseline in evaluation."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F
from torchvision.models import ResNet50_Weights

from dubl.errors import WeightsUnavailable
from dubl.models.limac import FrameNormalizer, ResnetRegions
from dubl.types import Float32Array, Uint8Array

SIDE = 224
BATCH_FRAMES = 16


class ImageNetRegions:
    """Regions float32 [N,9,3840] of frames uint8 [N,H,W,3], without whitening (models/limac.py).

    Raises WeightsUnavailable where torchvision's weights are neither cached nor reachable.
    """

    def __init__(self) -> None:
        self._network = ResnetRegions().eval()
        self._normalize = FrameNormalizer()
        weights = ResNet50_Weights.IMAGENET1K_V1
        try:
            state = weights.get_state_dict(progress=False, check_hash=True)
        except (OSError, RuntimeError) as exc:
            raise WeightsUnavailable(f"torchvision's {weights} cannot be loaded: {exc}") from exc
        kept = {key: value for key, value in state.items() if not key.startswith("fc.")}
        self._network.cnn.load_state_dict(kept)

    @torch.inference_mode()
    def __call__(self, frames: Uint8Array) -> Float32Array:
        parts = [
            self._described(frames[first : first + BATCH_FRAMES])
            for first in range(0, len(frames), BATCH_FRAMES)
        ]
        return np.concatenate(parts)

    def _described(self, frames: Uint8Array) -> Float32Array:
        maps = self._normalize(torch.from_numpy(np.ascontiguousarray(frames)))
        small = F.interpolate(maps, size=(SIDE, SIDE), mode="bilinear", antialias=True)
        regions: Float32Array = self._network(small).numpy()
        return regions
