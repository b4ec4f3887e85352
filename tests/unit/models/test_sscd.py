"""SSCD describes frames as its authors do, from their file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torchvision.models import resnet50

from dubl.errors import WeightsUnavailable
from dubl.models.networks import load_network
from dubl.models.presets import PRESETS
from dubl.models.published import build_model
from tests.unit.models.published_files import published

FILE = PRESETS["sscd"].file.name


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    torch.manual_seed(0)
    torch.save(published("sscd"), folder / FILE)
    return folder


@pytest.fixture(scope="module")
def model(files: Path) -> Path:
    build_model(PRESETS["sscd"], files, files / "sscd")
    return files / "sscd"


def frames(count: int) -> torch.Tensor:
    coarse = np.random.default_rng(0).integers(0, 256, (count, 9, 9, 3), dtype=np.uint8)
    return torch.from_numpy(coarse.repeat(32, axis=1).repeat(32, axis=2))


class Gem(torch.nn.Module):
    """Generalized mean over all places, as the paper has it (eq. of section 4.1)."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps.clamp(min=1e-6).pow(3).mean(dim=(2, 3), keepdim=True).pow(1 / 3)


@torch.inference_mode()
def test_descriptors_are_the_papers(files: Path, model: Path) -> None:
    theirs = resnet50(num_classes=512)
    state = torch.load(files / FILE, weights_only=True)
    theirs.load_state_dict({key.removeprefix("backbone."): one for key, one in state.items()})
    theirs.avgpool = Gem()
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    shown = ((frames(2) / 255 - mean) / std).permute(0, 3, 1, 2)
    expected = F.normalize(theirs.eval()(shown), dim=-1)
    found = load_network(model)(frames(2))
    torch.testing.assert_close(found.descriptors, expected, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_regions_show_where_a_frame_differs(model: Path) -> None:
    """What changes in a corner changes its window the most."""
    plain = frames(1)
    changed = plain.clone()
    changed[:, :96, :96] = 255 - changed[:, :96, :96]
    network = load_network(model)
    before, after = (network(one).region_features[0] for one in (plain, changed))
    assert before.shape == (9, 512)
    torch.testing.assert_close(before.norm(dim=-1), torch.ones(9))
    assert int((before * after).sum(dim=-1).argmin()) == 0


def test_another_network_is_refused(tmp_path: Path) -> None:
    torch.save({"backbone.conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / FILE)
    with pytest.raises(WeightsUnavailable, match="weights of SSCD"):
        build_model(PRESETS["sscd"], tmp_path, tmp_path / "sscd")
