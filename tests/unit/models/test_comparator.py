"""The comparator port over S2VS, without and with a trained network."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dubl.errors import WeightsUnavailable
from dubl.models.comparator import COMPARATOR_FILE, TorchComparator, load_comparator
from dubl.models.visil import Visil, VisilConfig
from dubl.types import Float16Array

DIMS = 16


def regions(frames: int, *, seed: int = 0) -> Float16Array:
    values = np.random.default_rng(seed).normal(size=(frames, 9, DIMS))
    values /= np.linalg.norm(values, axis=-1, keepdims=True)
    return values.astype(np.float16)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_plain_similarity_of_a_video_with_itself_is_one() -> None:
    video = regions(6)
    assert TorchComparator().similarity(video, video) == pytest.approx(1.0, abs=2e-3)


def test_a_piece_counts_whichever_side_it_is() -> None:
    video = regions(20)
    comparator = TorchComparator()
    forwards = comparator.similarity(video[5:9], video)
    assert forwards == pytest.approx(comparator.similarity(video, video[5:9]))
    assert forwards == pytest.approx(1.0, abs=2e-3)


def test_the_matrix_is_that_of_both_directions_and_peaks_on_the_diagonal() -> None:
    left, right = regions(5), np.concatenate([regions(5), regions(3, seed=1)])
    matrix = TorchComparator().similarity_matrix(left, right)
    assert matrix.shape == (5, 8)
    np.testing.assert_allclose(
        matrix, TorchComparator().similarity_matrix(right, left).T, atol=1e-6
    )
    assert (matrix.argmax(axis=1) == np.arange(5)).all()


def test_a_network_weighs_regions_and_answers_between_zero_and_one() -> None:
    torch.manual_seed(0)
    network = Visil(VisilConfig(dims=DIMS))
    comparator = TorchComparator(network)
    left, right = regions(3), regions(7, seed=1)
    plain = TorchComparator().similarity_matrix(left, right)
    assert not np.allclose(comparator.similarity_matrix(left, right), plain)
    assert 0.0 <= comparator.similarity(left, right) <= 1.0


def test_no_frames_are_similar_to_nothing() -> None:
    empty = regions(4)[:0]
    assert TorchComparator().similarity(empty, regions(4)) == 0.0
    assert TorchComparator().similarity_matrix(empty, regions(4)).shape == (0, 4)


def test_trained_weights_are_used_where_they_lie_beside_the_model(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Visil(VisilConfig(dims=DIMS))
    torch.save(network.state_dict(), tmp_path / COMPARATOR_FILE)
    left, right = regions(4), regions(9, seed=1)
    loaded = load_comparator(tmp_path, dims=DIMS)
    assert loaded.similarity(left, right) == pytest.approx(
        TorchComparator(network).similarity(left, right)
    )


def test_without_trained_weights_the_plain_similarity_serves(tmp_path: Path) -> None:
    video = regions(4)
    assert load_comparator(tmp_path, dims=DIMS).similarity(video, video) > 0.99


@pytest.mark.parametrize("content", [b"", b"not weights"])
def test_damaged_weights_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / COMPARATOR_FILE).write_bytes(content)
    with pytest.raises(WeightsUnavailable):
        load_comparator(tmp_path, dims=DIMS)


def test_weights_of_another_feature_space_are_refused(tmp_path: Path) -> None:
    torch.save(Visil(VisilConfig(dims=8)).state_dict(), tmp_path / COMPARATOR_FILE)
    with pytest.raises(WeightsUnavailable):
        load_comparator(tmp_path, dims=DIMS)
