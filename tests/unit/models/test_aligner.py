"""The aligner weakens what no copy runs through, in matrices of any size; numpy runs what torch
trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dubl.errors import WeightsUnavailable
from dubl.models import aligner, numpy_aligner
from dubl.models.aligner import AlignerNet, save_aligner
from dubl.models.checkpoints import ModelCard
from dubl.models.numpy_aligner import ALIGNER_FILE, NumpyAligner, matrix_channels
from dubl.types import Float16Array


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def noise(rows: int, columns: int) -> Float16Array:
    return np.random.default_rng(0).random((rows, columns)).astype(np.float16)


def served(folder: Path, network: AlignerNet) -> NumpyAligner:
    """The network as a service would read it."""
    save_aligner(folder, network, ModelCard(name="aligner"))
    read = NumpyAligner.read(folder)
    assert read is not None
    return read


def rounded(network: AlignerNet) -> AlignerNet:
    """Its weights as float16 keeps them."""
    network.load_state_dict({k: v.half().float() for k, v in network.state_dict().items()})
    return network.eval()


@pytest.mark.parametrize("shape", [(31, 17), (8, 64), (1, 1), (2, 9)])
@torch.inference_mode()
def test_numpy_gives_what_torch_gives(shape: tuple[int, int], tmp_path: Path) -> None:
    network = rounded(AlignerNet())
    matrix = noise(*shape)
    whole = torch.from_numpy(matrix.astype(np.float32))[None, None]
    logits = network(aligner.matrix_channels(whole, torch.ones_like(whole)))
    chances = torch.sigmoid(logits)[0, 0].numpy()
    expected = np.sqrt(matrix.astype(np.float32) * (0.3 + 0.7 * chances))
    np.testing.assert_allclose(served(tmp_path, network).clean(matrix), expected, atol=1e-5)


def test_tiles_give_what_the_whole_matrix_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cleaner = served(tmp_path, AlignerNet())
    matrix = noise(300, 170)
    whole = cleaner.clean(matrix)
    monkeypatch.setattr(numpy_aligner, "TILE", 64)
    np.testing.assert_allclose(cleaner.clean(matrix), whole, atol=1e-4)


def test_matrices_of_hours_stay_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numpy_aligner, "MAX_CELLS", 100)
    cleaner, matrix = served(tmp_path, AlignerNet()), noise(11, 10)
    np.testing.assert_array_equal(cleaner.clean(matrix), matrix.astype(np.float32))
    assert cleaner.clean(matrix[:0]).shape == (0, 10)


def test_padding_does_not_change_what_a_matrix_looks_like() -> None:
    matrix = torch.rand(1, 1, 6, 5)
    padded = torch.nn.functional.pad(matrix, (0, 3, 0, 4))
    mask = torch.nn.functional.pad(torch.ones_like(matrix), (0, 3, 0, 4))
    channels = aligner.matrix_channels(padded, mask)[0, :, :6, :5].numpy()
    np.testing.assert_allclose(channels, matrix_channels(matrix[0, 0].numpy()), atol=1e-5)


def test_a_folder_without_an_aligner_has_none(tmp_path: Path) -> None:
    assert NumpyAligner.read(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"not weights"])
def test_damaged_weights_are_refused(content: bytes, tmp_path: Path) -> None:
    save_aligner(tmp_path, AlignerNet(), ModelCard(name="aligner"))
    (tmp_path / ALIGNER_FILE).write_bytes(content)
    with pytest.raises(WeightsUnavailable):
        NumpyAligner.read(tmp_path)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    network = AlignerNet()
    network.last = torch.nn.Conv2d(16, 2, 1)
    save_aligner(tmp_path, network, ModelCard(name="aligner"))
    with pytest.raises(WeightsUnavailable):
        NumpyAligner.read(tmp_path)
