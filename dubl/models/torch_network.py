"""Runs a torch frame network, on a GPU where there is one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from dubl.models.embedder import FrameDescriptions
from dubl.types import Float16Array, Uint8Array


class FrameFeatures(NamedTuple):
    """Of N frames, unit length: descriptors [N,D'] and region features [N,R,D], row by row over the
    grid."""

    descriptors: Tensor
    region_features: Tensor


class TorchNetwork:
    """FrameNetwork (dubl.models.embedder) around a module that takes uint8 frames [N,S,S,3],
    preprocessing included.

    To a GPU frames travel as bytes from pinned memory and are scaled there; maps are
    channels-last. With `half`, convolutions are float16: bfloat16 is as fast and rounds eight times
    as coarsely, while the bounded activations of these networks never leave float16's range.
    """

    def __init__(
        self, network: nn.Module, *, device: torch.device, half: bool = False, threads: int = 1
    ) -> None:
        torch.set_num_threads(threads)
        self._device = device
        self._half = half
        self._network = network.to(device).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def describe(self, frames: Uint8Array) -> FrameDescriptions:
        with torch.autocast(self._device.type, dtype=torch.float16, enabled=self._half):
            features: FrameFeatures = self._network(self._uploaded(frames))
        return FrameDescriptions(_stored(features.descriptors), _stored(features.region_features))

    def _uploaded(self, frames: Uint8Array) -> Tensor:
        # Copied: frames that another process sent are read-only, which torch warns of.
        tensor = torch.from_numpy(np.array(frames, order="C"))
        if self._device.type != "cuda":
            return tensor.to(self._device)
        return tensor.pin_memory().to(self._device, non_blocking=True)


def _stored(values: Tensor) -> Float16Array:
    result: Float16Array = values.to(torch.float16).cpu().numpy()
    return result
