"""The comparator network: sizes, padding, and tiles that change nothing."""

from __future__ import annotations

import pytest
import torch

from dubl.models.visil_head import MaskedMatrix, VisilHead


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def matrix(height: int, width: int) -> MaskedMatrix:
    return MaskedMatrix(torch.rand(2, 1, height, width), None)


def masked(height: int, width: int) -> MaskedMatrix:
    mask = torch.ones(2, 1, height, width, dtype=torch.bool)
    mask[0, :, height // 2 :] = False
    mask[1, :, :, width // 3 :] = False
    return MaskedMatrix(torch.rand(2, 1, height, width), mask)


@pytest.mark.parametrize(("height", "width"), [(4, 4), (5, 17), (17, 64)])
def test_pooled_output_has_a_cell_per_four_frames_and_plain_output_one_per_frame(
    height: int, width: int
) -> None:
    head = VisilHead()
    assert head(matrix(height, width)).values.shape == (2, 1, height // 4, width // 4)
    assert head(matrix(height, width), pooling=False).values.shape == (2, 1, height, width)


@pytest.mark.parametrize("padding", ["zeros", "replicate"])
@pytest.mark.parametrize("pooling", [True, False])
@pytest.mark.parametrize("make", [matrix, masked])
@pytest.mark.parametrize(("height", "width"), [(45, 70), (16, 51), (67, 8)])
@torch.inference_mode()
def test_tiles_do_not_change_the_output(
    padding: str, pooling: bool, make: object, height: int, width: int
) -> None:
    assert callable(make)
    head, frames = VisilHead(padding=padding), make(height, width)
    whole = head(frames, pooling=pooling)
    tiled = head(frames, pooling=pooling, tile=16)
    torch.testing.assert_close(tiled.values, whole.values, rtol=0, atol=1e-6)
    if whole.mask is not None:
        assert torch.equal(tiled.mask, whole.mask)


def test_padding_rule_matters_only_with_pooling() -> None:
    zeros, replicate = VisilHead(), VisilHead(padding="replicate")
    replicate.load_state_dict(zeros.state_dict())
    frames = matrix(12, 12)
    assert not torch.allclose(zeros(frames).values, replicate(frames).values)
    assert torch.equal(zeros(frames, pooling=False).values, replicate(frames, pooling=False).values)


def test_masked_cells_stay_zero_and_a_cell_is_valid_where_any_of_its_frames_is() -> None:
    mask = torch.zeros(1, 1, 12, 12, dtype=torch.bool)
    mask[..., :9, :4] = True
    output = VisilHead()(MaskedMatrix(torch.rand(1, 1, 12, 12), mask))
    assert output.mask is not None
    assert output.mask[0, 0].sum(dim=0).tolist() == [3, 0, 0]
    assert output.values[~output.mask].abs().sum() == 0
