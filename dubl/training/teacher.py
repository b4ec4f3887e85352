"""Starts the compact network from a MobileNetV2 that the user has as a TFLite file.

The features of an ImageNet classifier are the start, not the result: self-supervised training
(`dubl.training.trainer`) turns them into copy descriptors.
"""

from __future__ import annotations

from pathlib import Path

import torch

from dubl.errors import WeightsUnavailable
from dubl.models.compact import CompactNet, Convolution
from dubl.training.tflite import ConvolutionWeights, read_convolutions


def network_from_tflite(path: Path) -> CompactNet:
    """A network with the convolutions of a MobileNetV2 1.0 TFLite file; the heads stay random.

    The file's last convolution, its classifier, is left out. Raises WeightsUnavailable when the
    file does not hold this topology.
    """
    network = CompactNet()
    layers = [module for module in network.modules() if isinstance(module, Convolution)]
    weights = read_convolutions(path)[: len(layers)]
    if len(weights) < len(layers):
        raise WeightsUnavailable(f"{path} has {len(weights)} convolutions, not {len(layers)}")
    for layer, source in zip(layers, weights, strict=True):
        _copy(layer, source, path)
    return network.to(memory_format=torch.channels_last)


def _copy(layer: Convolution, source: ConvolutionWeights, path: Path) -> None:
    target = layer.convolution
    if tuple(target.weight.shape) != source.weight.shape or target.bias is None:
        raise WeightsUnavailable(f"{path} is not a MobileNetV2 of width 1.0")
    with torch.no_grad():
        target.weight.copy_(torch.from_numpy(source.weight))
        target.bias.copy_(torch.from_numpy(source.bias))
