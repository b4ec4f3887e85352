"""Starts the network from random weights that training without batch normalization can use."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dubl.models.compact import CompactNet


@torch.no_grad()
def untrained_network(pictures: NDArray[np.uint8], *, seed: int) -> CompactNet:
    """Random weights, each channel of each layer standardized on uint8 pictures [N, S, S, 3].

    That is what batch normalization would do in its first step, folded into the weights (compare
    layer-sequential unit variance, Mishkin and Matas, 2016).
    """
    torch.manual_seed(seed)
    network = CompactNet().to(memory_format=torch.channels_last)
    hooks = [
        module.register_forward_hook(_standardize)
        for module in network.modules()
        if isinstance(module, nn.Conv2d)
    ]
    network.maps(torch.from_numpy(np.array(pictures)))
    for hook in hooks:
        hook.remove()
    return network


def _standardize(layer: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """Gives the layer's outputs zero mean and unit variance per channel, by its own weights."""
    assert isinstance(layer, nn.Conv2d)
    assert layer.bias is not None
    mean = output.mean(dim=(0, 2, 3))
    deviation = output.std(dim=(0, 2, 3)).clamp(min=1e-4)
    layer.weight /= deviation[:, None, None, None]
    layer.bias.copy_((layer.bias - mean) / deviation)
    return (output - mean[:, None, None]) / deviation[:, None, None]
