"""L-iMAC regions, whitening and the ResNet50 extractor, with random weights."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from dubl.errors import FeatureSpaceMismatch
from dubl.models.limac import (
    CHANNEL_MEAN,
    CHANNEL_STD,
    FrameNormalizer,
    LimacExtractor,
    PCAWhitening,
    fit_whitening,
    stage_regions,
)
from dubl.models.visil_config import STAGE_CHANNELS


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def stages(height: int, width: int) -> list[torch.Tensor]:
    return [
        torch.rand(1, channels, height // stride, width // stride)
        for channels, stride in zip((4, 8, 16, 32), (4, 8, 16, 32), strict=True)
    ]


@pytest.mark.parametrize(
    ("height", "width", "count"), [(224, 224, 9), (256, 256, 9), (224, 320, 12), (320, 224, 12)]
)
def test_regions_follow_the_grid_of_the_last_stage(height: int, width: int, count: int) -> None:
    regions = stage_regions(stages(height, width))
    assert regions.shape == (1, count, 60)
    torch.testing.assert_close(regions.norm(dim=-1), torch.ones(1, count))


def test_each_stage_weighs_the_same() -> None:
    parts = stage_regions(stages(224, 224)).split((4, 8, 16, 32), dim=-1)
    for part in parts:
        torch.testing.assert_close(part.norm(dim=-1), torch.full((1, 9), 0.5))


def test_regions_run_row_by_row() -> None:
    maps = stages(224, 224)
    for stage in maps:
        stage.fill_(1e-3)
        stage[:, 0, 0, -1] = 1.0  # top right
    corner = stage_regions(maps)[0, :, 0]
    assert corner.argmax() == 2


def test_small_frames_are_refused() -> None:
    with pytest.raises(FeatureSpaceMismatch, match="112 pixels"):
        stage_regions(stages(96, 96))


def test_whitening_leaves_its_input_as_it_is() -> None:
    whitening = PCAWhitening(8, 4)
    whitening.mean += 1.0
    vectors = torch.rand(2, 3, 8)
    copy = vectors.clone()
    assert whitening(vectors).shape == (2, 3, 4)
    assert torch.equal(vectors, copy)


def test_whitening_takes_components_by_falling_eigenvalue() -> None:
    values = torch.tensor([1.0, 9.0, 4.0])
    whitening = PCAWhitening.from_decomposition(
        torch.zeros(1, 3), values, torch.eye(3), components=2
    )
    expected = torch.tensor([[0.0, 0.0], [1 / 3, 0.0], [0.0, 1 / 2]])
    torch.testing.assert_close(whitening.DVt, expected)
    assert whitening.mean.shape == (3,)


def test_fitted_whitening_gives_uncorrelated_components_of_equal_variance() -> None:
    mixing = torch.randn(6, 6)
    vectors = torch.randn(4000, 6) @ mixing + 3.0
    whitening = fit_whitening(vectors.split(700), components=6)
    projected = (vectors - whitening.mean) @ whitening.DVt * len(vectors) ** 0.5
    torch.testing.assert_close(torch.cov(projected.T), torch.eye(6), rtol=0, atol=2e-3)


def test_whitening_does_not_depend_on_how_vectors_come_in_batches() -> None:
    vectors = torch.randn(300, 5)
    one = fit_whitening([vectors], components=3)
    many = fit_whitening(vectors.view(3, 20, 5, 5), components=3)
    signs = torch.sign((one.DVt * many.DVt).sum(0))
    torch.testing.assert_close(one.DVt, many.DVt * signs)


def test_too_few_vectors_cannot_be_whitened() -> None:
    with pytest.raises(FeatureSpaceMismatch, match="cannot fit"):
        fit_whitening([torch.randn(3, 8)], components=4)


def test_the_normalizer_takes_bytes() -> None:
    frames = torch.randint(0, 256, (2, 6, 5, 3), dtype=torch.uint8)
    from_bytes = FrameNormalizer()(frames)
    assert from_bytes.shape == (2, 3, 6, 5)
    mean, std = torch.tensor(CHANNEL_MEAN), torch.tensor(CHANNEL_STD)
    expected = ((frames / 255 - mean) / std).permute(0, 3, 1, 2)
    torch.testing.assert_close(from_bytes, expected)


@torch.inference_mode()
def test_extractor_has_the_published_keys_and_gives_nine_unit_regions() -> None:
    extractor = LimacExtractor(components=8)
    state = extractor.state_dict()
    trunk = [key for key in state if key.startswith("1.0.cnn.")]
    assert len(trunk) == 318
    assert set(state) - set(trunk) == {"0.scale", "0.mean", "0.std", "1.1.mean", "1.1.DVt"}
    assert state["1.1.DVt"].shape == (sum(STAGE_CHANNELS), 8)
    regions = extractor(torch.randint(0, 256, (1, 224, 224, 3), dtype=torch.uint8))
    assert regions.shape == (1, 9, 8)
    torch.testing.assert_close(regions, F.normalize(regions, dim=-1))
