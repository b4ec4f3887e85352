"""The validation measure: what counts, what is left out, and the figures themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dubl.footage.edits.registry import PICTURE_EDITS
from dubl.footage.textures import procedural_picture
from dubl.training.untrained import untrained_network
from dubl.training.validation import chamfer, make_validation_set, micro_average_precision, validate


def figures(scores: list[float], labels: list[bool], positives: int) -> tuple[float, float]:
    quality = micro_average_precision(np.asarray(scores, np.float32), np.asarray(labels), positives)
    return quality.micro_ap, quality.recall_at_p1


def test_a_perfect_ranking_has_precision_one() -> None:
    assert figures([0.9, 0.8, 0.1], [True, True, False], 2) == (1.0, 1.0)


def test_a_wrong_pair_first_leaves_no_recall_at_precision_one() -> None:
    assert figures([0.9, 0.8], [False, True], 1) == (0.5, 0.0)


def test_missing_pairs_lower_the_average() -> None:
    assert figures([0.9], [True], 4) == (0.25, 0.25)


def test_chamfer_of_a_set_with_itself_is_one() -> None:
    regions = torch.nn.functional.normalize(torch.randn(2, 9, 16), dim=-1)
    assert torch.allclose(chamfer(regions, regions).diagonal(), torch.ones(2), atol=1e-5)


@pytest.fixture(scope="module")
def pictures() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    torch.set_num_threads(1)
    rng = np.random.default_rng(5)
    return np.stack([procedural_picture(rng, size=80) for _ in range(8)])


def test_every_edit_changes_pictures_and_keeps_the_size(
    pictures: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
) -> None:
    data = make_validation_set(pictures, [str(n) for n in range(8)], queries=4)
    assert set(data.edits) == set(PICTURE_EDITS)
    for name, edited in data.edits.items():
        originals = pictures[data.query_indices].astype(np.float32)
        assert edited.shape == originals.shape
        assert np.abs(edited - originals).mean() > 0.5, name


def test_guests_never_come_from_the_same_clip(
    pictures: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
) -> None:
    groups = ["clip"] * 4 + ["a", "b", "c", "d"]
    data = make_validation_set(pictures, groups, queries=8)
    for guests in data.guests.values():
        assert not (data.groups[guests] == data.groups[data.query_indices]).any()


def test_even_an_untrained_network_finds_some_edits(
    pictures: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
) -> None:
    data = make_validation_set(pictures, [str(n) for n in range(8)], queries=3)
    quality = validate(untrained_network(pictures, seed=0), data)
    assert set(quality) == {*PICTURE_EDITS, "all", "regions"}
    assert all(0 <= value.micro_ap <= 1 for value in quality.values())
    assert quality["text"].micro_ap > 0
