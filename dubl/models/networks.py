"""Loads the frame network of a model's folder by the name in its card."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from dubl.errors import WeightsUnavailable
from dubl.models.cards import COMPACT, network_name
from dubl.models.compact import load_compact
from dubl.models.limac import LIMAC, load_limac
from dubl.models.sscd import SSCD, load_sscd

LOADERS = {COMPACT: load_compact, LIMAC: load_limac, SSCD: load_sscd}


def load_network(folder: Path) -> nn.Module:
    """The frame network: uint8 frames [N,S,S,3] → FrameFeatures (dubl.models.torch_network).

    Raises WeightsUnavailable if a file is absent or altered, or if the network is unknown.
    """
    name = network_name(folder)
    if name not in LOADERS:
        known = ", ".join(LOADERS)
        raise WeightsUnavailable(f"{folder} has the unknown network '{name}'; known: {known}")
    return LOADERS[name](folder)
