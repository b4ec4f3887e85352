"""The aligner weakens what no copy runs through, in matrices of any size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dubl.assembly import SHIPPED_WEIGHTS
from dubl.errors import WeightsUnavailable
from dubl.models import aligner
from dubl.models.aligner import (
    ALIGNER_FILE,
    AlignerNet,
    TorchAligner,
    load_aligner,
    matrix_channels,
    save_aligner,
)
from dubl.models.checkpoints import ModelCard
from dubl.types import Float16Array


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def noise(rows: int, columns: int) -> Float16Array:
    return np.random.default_rng(0).random((rows, columns)).astype(np.float16)


def test_a_cleaned_matrix_has_the_shape_and_scale_of_the_one_seen() -> None:
    matrix = noise(31, 17)
    cleaned = TorchAligner(AlignerNet().eval()).clean(matrix)
    assert cleaned.shape == matrix.shape
    assert 0.0 <= cleaned.min() <= cleaned.max() <= 1.0


def test_tiles_give_what_the_whole_matrix_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    network = AlignerNet().eval()
    matrix = noise(300, 170)
    whole = TorchAligner(network).clean(matrix)
    monkeypatch.setattr(aligner, "TILE", 64)
    np.testing.assert_allclose(TorchAligner(network).clean(matrix), whole, atol=1e-4)


def test_matrices_of_hours_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aligner, "MAX_CELLS", 100)
    matrix = noise(11, 10)
    np.testing.assert_array_equal(
        TorchAligner(AlignerNet().eval()).clean(matrix), matrix.astype(np.float32)
    )
    assert TorchAligner(AlignerNet().eval()).clean(matrix[:0]).shape == (0, 10)


def test_padding_does_not_change_what_a_matrix_looks_like() -> None:
    matrix = torch.rand(1, 1, 6, 5)
    plain = matrix_channels(matrix, torch.ones_like(matrix))
    padded = torch.nn.functional.pad(matrix, (0, 3, 0, 4))
    mask = torch.nn.functional.pad(torch.ones_like(matrix), (0, 3, 0, 4))
    torch.testing.assert_close(matrix_channels(padded, mask)[..., :6, :5], plain)


def test_what_is_saved_loads_and_what_is_absent_is_none(tmp_path: Path) -> None:
    assert load_aligner(tmp_path) is None
    network = AlignerNet()
    save_aligner(tmp_path, network, ModelCard(name="aligner"))
    loaded = load_aligner(tmp_path)
    assert loaded is not None
    torch.testing.assert_close(loaded.last.weight, network.last.weight, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("content", [b"", b"not weights"])
def test_damaged_weights_are_refused(content: bytes, tmp_path: Path) -> None:
    save_aligner(tmp_path, AlignerNet(), ModelCard(name="aligner"))
    (tmp_path / ALIGNER_FILE).write_bytes(content)
    with pytest.raises(WeightsUnavailable):
        load_aligner(tmp_path)


def test_the_aligner_that_ships_prefers_a_diagonal_to_a_block_that_is_as_alike() -> None:
    network = load_aligner(SHIPPED_WEIGHTS / "dubl-compact")
    assert network is not None
    matrix = 0.2 + 0.1 * noise(48, 40)
    matrix[4:12, 24:34] = 0.8  # a look-alike scene
    rows = np.arange(16, 46)
    matrix[rows, (rows - 12) // 2] = 0.8  # a copy at the reference's own speed, twice as dense
    cleaned = TorchAligner(network).clean(matrix)
    assert cleaned[rows, (rows - 12) // 2].mean() > 1.1 * cleaned[4:12, 24:34].mean()
