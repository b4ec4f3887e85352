"""The whitening of a user's own ResNet50 makes a model's folder without a comparator."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dubl.errors import FeatureSpaceMismatch, WeightsUnavailable
from dubl.models.networks import load_network
from dubl.models.visil import load_comparator
from dubl.training.config import ComparatorConfig, parse_config
from dubl.training.whitening_run import fit_own_whitening
from tests.unit.models.published_files import write_resnet
from tests.unit.training.packs import short_scene

TINY = "clips: {scenes: 2, validation_scenes: 1, min_frames: 4, max_frames: 4}"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr("dubl.training.clips.scene_frames", short_scene)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "own.pth"
    write_resnet(path)
    return path


def config() -> ComparatorConfig:
    return parse_config(ComparatorConfig, TINY)


@pytest.mark.slow  # the eigenvectors of 3840 dimensions take 20 s
def test_regions_of_the_clips_that_were_fitted_come_out_white(
    backbone: Path, tmp_path: Path
) -> None:
    folder = fit_own_whitening(backbone, config(), tmp_path / "own", components=6)
    network = load_network(folder)
    features = network(torch.zeros(2, 224, 224, 3, dtype=torch.uint8))
    assert features.region_features.shape == (2, 9, 6)
    assert features.descriptors.shape == (2, 6)
    assert load_comparator(folder) is None
    assert "generated scenes" in (folder / "card.json").read_text()


def test_too_few_clips_for_the_components_are_an_error(backbone: Path, tmp_path: Path) -> None:
    with pytest.raises(FeatureSpaceMismatch, match="cannot fit 512 components"):
        fit_own_whitening(backbone, config(), tmp_path)


def test_a_file_that_is_no_resnet_is_refused(tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(WeightsUnavailable, match="does not hold a ResNet50"):
        fit_own_whitening(tmp_path / "other.pth", config(), tmp_path)
