"""Published files: every layout loads, and nothing else does."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from dubl.errors import WeightsUnavailable
from dubl.models.limac import REGION_CHANNELS, ResnetRegions
from dubl.models.presets import PRESETS, find_preset
from dubl.models.published import (
    build_extractor,
    load_preset,
    load_resnet,
    load_whitening,
    read_published,
)
from dubl.models.visil_config import VisilConfig
from tests.unit.models.published_files import published, write_pca, write_resnet

COMPARATORS = sorted(name for name, one in PRESETS.items() if one.config is not None)


class Forbidden:
    """Stands for code in a pickle."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return (os.system, ("true",))


@pytest.mark.parametrize("name", COMPARATORS)
def test_every_layout_of_a_comparator_loads(name: str, tmp_path: Path) -> None:
    content, config = published(name), PRESETS[name].config
    assert config is not None
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    network = load_preset(name, config, path)
    assert not network.training
    assert network.config == config
    state = content.get("model", content)
    assert isinstance(state, dict)
    head = "video_comperator." if name.startswith("visil") else "visil_head."
    assert torch.equal(network.visil_head.conv1.weight, state[f"{head}conv1.weight"])


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    torch.save(published("visil"), tmp_path / "weights.pth")
    with pytest.raises(WeightsUnavailable, match="weights of s2vs_dns"):
        load_preset("s2vs_dns", VisilConfig(), tmp_path / "weights.pth")


def test_files_that_would_run_code_are_refused(tmp_path: Path) -> None:
    torch.save({"model": Forbidden()}, tmp_path / "weights.pth")
    with pytest.raises(WeightsUnavailable, match="does not hold weights"):
        read_published(tmp_path / "weights.pth")


def test_reading_permits_namespaces_only_while_it_lasts(tmp_path: Path) -> None:
    torch.save(published("s2vs_dns"), tmp_path / "weights.pth")
    read_published(tmp_path / "weights.pth")
    assert argparse.Namespace not in torch.serialization.get_safe_globals()


def test_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(WeightsUnavailable, match="s2vs_vcdb"):
        find_preset("s2vs")


def test_the_extractor_is_made_of_resnet_and_whitening(tmp_path: Path) -> None:
    trunk = write_resnet(tmp_path / "resnet50.pth")
    write_pca(tmp_path / "pca.pth")
    whitening = load_whitening(tmp_path / "pca.pth", components=4)
    built = build_extractor(load_resnet(tmp_path / "resnet50.pth"), whitening).state_dict()
    key = "layer4.2.conv3.weight"
    assert torch.equal(built[f"1.0.cnn.{key}"], trunk[key])
    assert built["1.1.DVt"].shape == (REGION_CHANNELS, 4)
    assert float(built["0.scale"]) == 255.0


def test_without_whitening_the_regions_are_plain() -> None:
    built = build_extractor(ResnetRegions(), None)
    assert built.components == REGION_CHANNELS
    assert not any(key.startswith("1.1.") for key in built.state_dict())


@pytest.mark.parametrize(
    ("pca", "message"),
    [
        ({"mean": torch.zeros(4)}, "does not hold a PCA"),
        ({"mean": torch.zeros(4), "d": torch.ones(4), "V": torch.eye(4)}, "cannot give 8 dims"),
        ({"mean": torch.zeros(9), "d": torch.ones(9), "V": torch.eye(9)}, "3840 dimensions"),
    ],
)
def test_a_wrong_whitening_is_refused(
    pca: dict[str, torch.Tensor], message: str, tmp_path: Path
) -> None:
    torch.save(pca, tmp_path / "pca.pth")
    with pytest.raises(WeightsUnavailable, match=message):
        load_whitening(tmp_path / "pca.pth", components=8)
