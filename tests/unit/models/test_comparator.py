"""The comparator port over S2VS, without and with a trained network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dubl.assembly import SHIPPED_WEIGHTS
from dubl.errors import WeightsUnavailable
from dubl.models.chamfer import frame_similarities
from dubl.models.checkpoints import ModelCard, save_checkpoint
from dubl.models.numpy_comparator import COMPARATOR_CARD_FILE, COMPARATOR_FILE, NumpyComparator
from dubl.models.visil import Visil, load_comparator, save_comparator
from dubl.models.visil_config import VisilConfig
from dubl.types import Float16Array

DIMS = 16


def regions(frames: int, *, seed: int = 0) -> Float16Array:
    values = np.random.default_rng(seed).normal(size=(frames, 9, DIMS))
    values /= np.linalg.norm(values, axis=-1, keepdims=True)
    return values.astype(np.float16)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def plain(tmp_path: Path) -> NumpyComparator:
    return NumpyComparator(tmp_path)


@pytest.fixture
def trained(tmp_path: Path) -> NumpyComparator:
    torch.manual_seed(0)
    folder = tmp_path / "trained"
    save_comparator(folder, Visil(VisilConfig(dims=DIMS)), ModelCard(name="trained"))
    return NumpyComparator(folder)


def test_plain_similarity_of_a_video_with_itself_is_one(plain: NumpyComparator) -> None:
    video = regions(6)
    assert plain.similarity(video, video) == pytest.approx(1.0, abs=2e-3)


def test_a_piece_counts_whichever_side_it_is(plain: NumpyComparator) -> None:
    video = regions(20)
    forwards = plain.similarity(video[5:9], video)
    assert forwards == pytest.approx(plain.similarity(video, video[5:9]))
    assert forwards == pytest.approx(1.0, abs=2e-3)


def test_the_matrix_is_that_of_both_directions_and_peaks_on_the_diagonal(
    plain: NumpyComparator,
) -> None:
    left, right = regions(5), np.concatenate([regions(5), regions(3, seed=1)])
    matrix = plain.similarity_matrix(left, right)
    assert matrix.shape == (5, 8)
    np.testing.assert_allclose(matrix, plain.similarity_matrix(right, left).T, atol=1e-6)
    assert (matrix.argmax(axis=1) == np.arange(5)).all()


def test_trained_weights_change_the_similarity_but_not_the_matrix_of_alignment(
    plain: NumpyComparator, trained: NumpyComparator
) -> None:
    left, right = regions(3), regions(7, seed=1)
    unweighted = plain.similarity_matrix(left, right)
    np.testing.assert_array_equal(trained.similarity_matrix(left, right), unweighted)
    assert trained.similarity(left, right) != pytest.approx(plain.similarity(left, right), abs=0.05)


def test_a_trained_network_answers_between_zero_and_one(trained: NumpyComparator) -> None:
    assert 0.0 <= trained.similarity(regions(3), regions(7, seed=1)) <= 1.0
    assert trained.similarity(regions(3), regions(7)) == trained.similarity(regions(7), regions(3))


def test_a_video_may_be_given_backwards(plain: NumpyComparator) -> None:
    video = regions(12)
    backwards = plain.similarity(video[::-1], video)
    assert backwards == plain.similarity(np.ascontiguousarray(video[::-1]), video)


def test_no_frames_are_similar_to_nothing(plain: NumpyComparator) -> None:
    empty = regions(4)[:0]
    assert plain.similarity(empty, regions(4)) == 0.0
    assert plain.similarity_matrix(empty, regions(4)).shape == (0, 4)


@pytest.mark.parametrize(("query", "reference"), [(3, 7), (40, 9), (1, 1), (270, 30)])
def test_it_says_what_the_trained_network_says(tmp_path: Path, query: int, reference: int) -> None:
    torch.manual_seed(1)
    network = Visil(VisilConfig(dims=DIMS)).eval()
    save_comparator(tmp_path, network, ModelCard(name="trained"))
    left, right = regions(query), regions(reference, seed=1)
    loaded = load_comparator(tmp_path)
    assert loaded is not None
    with torch.inference_mode():
        ours, theirs = (loaded.index_video(torch.from_numpy(one).float()) for one in (left, right))
        directions = loaded.similarity(ours, theirs).item(), loaded.similarity(theirs, ours).item()
        matrix = frame_similarities(
            *(torch.from_numpy(one).float() for one in (left, right)), symmetric=True
        )
    comparator = NumpyComparator(tmp_path)
    assert comparator.similarity(left, right) == pytest.approx(max(directions) / 2 + 0.5, abs=1e-5)
    np.testing.assert_allclose(comparator.similarity_matrix(left, right), matrix, atol=1e-5)


@pytest.mark.parametrize("content", [b"", b"not weights"])
def test_damaged_weights_are_refused(tmp_path: Path, content: bytes) -> None:
    save_comparator(tmp_path, Visil(VisilConfig(dims=DIMS)), ModelCard(name="trained"))
    (tmp_path / COMPARATOR_FILE).write_bytes(content)
    with pytest.raises(WeightsUnavailable):
        NumpyComparator(tmp_path)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    state = {"attention.transform.weight": torch.zeros(8, 8)}
    files = {"weights_file": COMPARATOR_FILE, "card_file": COMPARATOR_CARD_FILE}
    save_checkpoint(tmp_path, state, ModelCard(name="other"), **files)
    with pytest.raises(WeightsUnavailable, match="does not hold"):
        NumpyComparator(tmp_path)


def test_a_comparator_for_features_of_other_weights_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, {"weight": torch.zeros(2)}, ModelCard(name="network"))
    card = ModelCard(name="trained", feature={"weights_sha256": "0" * 64})
    save_comparator(tmp_path, Visil(VisilConfig(dims=DIMS)), card)
    with pytest.raises(WeightsUnavailable, match="other weights"):
        NumpyComparator(tmp_path)


def test_the_comparator_that_ships_belongs_to_the_network_that_ships() -> None:
    network = load_comparator(SHIPPED_WEIGHTS / "dubl-compact")
    assert network is not None
    assert network.config.dims == 128
