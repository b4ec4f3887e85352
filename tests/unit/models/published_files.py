"""Files in the layouts of their authors, with random weights."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from dubl.models.limac import REGION_CHANNELS, ResnetRegions
from dubl.models.presets import PRESETS
from dubl.models.visil import Visil


def published(name: str) -> dict[str, object]:
    """Content of a comparator's file."""
    state = Visil(PRESETS[name].config).state_dict()
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
    comparator, resnet, *whitening = PRESETS[name].files
    torch.save(published(name), folder / comparator.name)
    write_resnet(folder / resnet.name)
    for file in whitening:
        write_pca(folder / file.name)
