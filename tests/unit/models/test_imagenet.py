"""The plain ImageNet network, where its weights can be had."""

from __future__ import annotations

from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
from torchvision.models import resnet50

from dubl.errors import WeightsUnavailable
from dubl.models.imagenet import ImageNetRegions


def _answer_with(monkeypatch: pytest.MonkeyPatch, answer: object) -> None:
    weights = SimpleNamespace(IMAGENET1K_V1=SimpleNamespace(get_state_dict=answer))
    monkeypatch.setattr("dubl.models.imagenet.ResNet50_Weights", weights)


def test_unreachable_weights_are_a_domain_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(**_options: object) -> object:
        raise URLError("name not known")

    _answer_with(monkeypatch, unreachable)
    with pytest.raises(WeightsUnavailable, match="name not known"):
        ImageNetRegions()


def test_frames_of_any_size_give_nine_regions_each(monkeypatch: pytest.MonkeyPatch) -> None:
    _answer_with(monkeypatch, lambda **_options: resnet50(weights=None).state_dict())
    frames = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3), dtype=np.uint8)
    regions = ImageNetRegions()(frames)
    assert regions.shape == (2, 9, 3840)
    assert np.linalg.norm(regions, axis=2) == pytest.approx(1, abs=1e-3)
