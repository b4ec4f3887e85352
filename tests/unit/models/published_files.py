"""Files in the layouts of their authors, with random weights."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor
from torchvision.models import resnet50

from dubl.models.limac import REGION_CHANNELS, ResnetRegions
from dubl.models.presets import PRESETS, RESNET50
from dubl.models.visil import Visil


def published(name: str) -> dict[str, object]:
    """Content of the preset's own file."""
    config = PRESETS[name].config
    if config is None:
        state = resnet50(num_classes=512).state_dict()
        return {f"backbone.{key}": value for key, value in state.items()}
    state = Visil(config).state_dict()
    if name.startswith("visil"):
        return {key.replace("visil_head.", "video_comperator."): v for key, v in state.items()}
    return {"model": state, "args": argparse.Namespace(dims=512), "global_step": 3}


def write_resnet(path: Path) -> dict[str, Tensor]:
    """As torchvision publishes it; returns what is in it."""
    state = {**ResnetRegions().cnn.state_dict(), "fc.bias": torch.zeros(1000)}
    torch.save(state, path)
    return state


def write_pca(path: Path) -> None:
    torch.save(
        {
            "mean": torch.zeros(1, REGION_CHANNELS),
            "d": torch.arange(REGION_CHANNELS, 0, -1.0),
            "V": torch.eye(REGION_CHANNELS),
        },
        path,
    )


def write_files(name: str, folder: Path) -> None:
    """All that the preset `name` is made of, under the published names."""
    folder.mkdir(parents=True, exist_ok=True)
    own, *others = PRESETS[name].files
    torch.save(published(name), folder / own.name)
    for file in others:
        (write_resnet if file is RESNET50 else write_pca)(folder / file.name)
