"""The compact network: shapes, unit length, determinism, and what its loader refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dubl.errors import WeightsUnavailable
from dubl.models.compact import CompactNet, generalized_mean, grid_maxima, load_compact

SHIPPED = Path(__file__).resolve().parents[3] / "dubl/models/weights/dubl-compact"
SIDE = 96


@pytest.fixture(scope="module")
def network() -> CompactNet:
    torch.set_num_threads(1)
    return load_compact(SHIPPED)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("weights.safetensors", "card.json"):
        (tmp_path / name).write_bytes((SHIPPED / name).read_bytes())
    return tmp_path


def frames(count: int, *, seed: int = 0, side: int = SIDE) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 6, 6, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(side, side), mode="bicubic")
    return (smooth.clamp(0, 1) * 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def test_features_have_the_shapes_of_the_card(network: CompactNet) -> None:
    feature = json.loads((SHIPPED / "card.json").read_text())["feature"]
    result = network(frames(2))
    assert result.descriptors.shape == (2, feature["descriptor_dims"])
    assert result.region_features.shape == (2, feature["regions"], feature["region_dims"])
    assert result.descriptors.dtype == result.region_features.dtype == torch.float32


def test_features_have_unit_length(network: CompactNet) -> None:
    result = network(frames(3))
    assert result.descriptors.norm(dim=-1) == pytest.approx(torch.ones(3).numpy(), abs=1e-5)
    lengths = result.region_features.norm(dim=-1)
    assert torch.allclose(lengths, torch.ones_like(lengths), atol=1e-5)


def test_black_and_white_frames_give_finite_features(network: CompactNet) -> None:
    extremes = torch.stack([torch.zeros(SIDE, SIDE, 3), torch.full((SIDE, SIDE, 3), 255.0)])
    result = network(extremes.to(torch.uint8))
    assert result.descriptors.isfinite().all()
    assert result.region_features.isfinite().all()


def test_same_frames_give_same_features(network: CompactNet) -> None:
    first, second = network(frames(2)), network(frames(2))
    assert torch.equal(first.descriptors, second.descriptors)
    assert torch.equal(first.region_features, second.region_features)


def test_a_frame_does_not_depend_on_its_batch(network: CompactNet) -> None:
    together, alone = network(frames(3)), network(frames(3)[1:2])
    assert torch.allclose(together.descriptors[1:2], alone.descriptors, atol=1e-4)
    assert torch.allclose(together.region_features[1:2], alone.region_features, atol=1e-4)


def test_a_brighter_copy_is_closer_than_another_picture(network: CompactNet) -> None:
    original = frames(2)
    brighter = (original.float() * 1.15 + 5).clamp(max=255).to(torch.uint8)
    similarity = network(original).descriptors @ network(brighter).descriptors.T
    assert similarity[0, 0] > similarity[0, 1] + 0.2
    assert similarity[1, 1] > similarity[1, 0] + 0.2


@pytest.mark.parametrize("side", [72, 100, 128])
def test_frames_of_other_sizes_are_taken(network: CompactNet, side: int) -> None:
    assert network(frames(1, side=side)).region_features.shape == (1, 9, 128)


def test_stride_two_pads_right_and_bottom_only() -> None:
    network = CompactNet().eval()
    maps = network.maps(frames(1, side=128))
    assert [part.shape[-1] for part in maps] == [64, 32, 16, 8, 4]


def test_grid_cells_cover_the_map_row_by_row() -> None:
    maps = torch.arange(25.0).view(1, 1, 5, 5)
    # Cells of five rows: 0-1, 1-3, 3-4; the maximum of a rising map is the cell's last corner.
    assert grid_maxima(maps)[0, :, 0].tolist() == [6, 8, 9, 16, 18, 19, 21, 23, 24]


def test_generalized_mean_of_a_constant_is_the_constant() -> None:
    assert generalized_mean(torch.full((1, 2, 4, 4), 1.5)) == pytest.approx(1.5)


def test_generalized_mean_lies_between_mean_and_maximum() -> None:
    maps = torch.tensor([0.0, 0.0, 0.0, 2.0]).view(1, 1, 2, 2)
    assert 0.5 < float(generalized_mean(maps)) < 2.0


def test_loader_refuses_altered_weights(folder: Path) -> None:
    content = bytearray((folder / "weights.safetensors").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "weights.safetensors").write_bytes(bytes(content))
    with pytest.raises(WeightsUnavailable, match="differs from the sha256"):
        load_compact(folder)


def test_loader_refuses_a_folder_without_weights(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match="model card"):
        load_compact(tmp_path)


def test_loader_refuses_a_card_without_hash(folder: Path) -> None:
    (folder / "card.json").write_text("{}")
    with pytest.raises(WeightsUnavailable):
        load_compact(folder)


def test_shipped_weights_are_small() -> None:
    assert (SHIPPED / "weights.safetensors").stat().st_size < 10_000_000
