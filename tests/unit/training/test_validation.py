"""The validation measure: what counts, what is left out, and the figures themselves."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from dubl.errors import ConfigurationError
from dubl.models.torch_network import FrameFeatures
from dubl.training.config import DataSettings
from dubl.training.datasets import Pack, build_pack
from dubl.training.heads import untrained_network
from dubl.training.validation import (
    CHAIN,
    EDITS,
    QUERY_FRAMES,
    REFERENCE_FRAMES,
    FrameQuality,
    Pictures,
    Yardstick,
    extract,
    frame_quality,
    make_yardstick,
    measure,
    micro_average_precision,
)
from tests.unit.training.packs import HELD_OUT, write_archive


def figures(scores: list[float], labels: list[bool], positives: int) -> tuple[float, float]:
    quality = micro_average_precision(np.asarray(scores, np.float32), np.asarray(labels), positives)
    return quality.micro_ap, quality.recall_at_p1


def test_a_perfect_ranking_has_precision_one() -> None:
    assert figures([0.9, 0.8, 0.1], [True, True, False], 2) == (1.0, 1.0)


def test_a_wrong_pair_first_leaves_no_recall_at_precision_one() -> None:
    assert figures([0.9, 0.8], [False, True], 1) == (0.5, 0.0)


def test_missing_pairs_lower_the_average() -> None:
    assert figures([0.9], [True], 4) == (0.25, 0.25)


def quality(queries: list[list[float]], strangers: list[list[float]]) -> FrameQuality:
    return frame_quality(np.asarray(queries, np.float32), np.asarray(strangers, np.float32))


def test_copies_above_all_strangers_are_perfect() -> None:
    perfect = quality([[0.9, 0.1], [0.2, 0.8]], [[0.3, 0.3]])
    assert (perfect.recall_at_1, perfect.micro_ap, perfect.recall_at_p95) == (1.0, 1.0, 1.0)


def test_a_stranger_above_all_copies_leaves_no_recall_at_precision() -> None:
    found = quality([[0.9, 0.1], [0.2, 0.8]], [[0.95, 0.3]])
    assert found.recall_at_1 == 1.0
    assert found.recall_at_p95 == 0.0
    assert found.micro_ap == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_a_copy_that_prefers_another_clip_is_not_found_first() -> None:
    assert quality([[0.1, 0.9], [0.2, 0.8]], [[0.0, 0.0]]).recall_at_1 == 0.5


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("pack")
    archive = write_archive(folder, count=16, held_out=8)
    sources = DataSettings(images=(archive,), size=80, validation_repositories=(HELD_OUT,))
    return build_pack(sources, folder / "pack")


def test_every_edit_changes_the_held_out_frames_and_nothing_else_is_used(pack: Pack) -> None:
    data = make_yardstick(pack)
    assert set(data.queries) == {*EDITS, CHAIN}
    originals = data.references[::2].astype(np.float32)  # a picture alone stands for all its frames
    for name, edited in data.queries.items():
        assert edited.shape == originals.shape
        assert np.abs(edited - originals).mean() > 0.5, name
    trained = {pack.pictures[row].tobytes() for row in pack.select(validation=False)}
    assert not trained & {frame.tobytes() for frame in data.references}
    assert len(data.strangers) == 4 * 2


def test_the_yardstick_is_the_same_for_the_same_pack(pack: Pack) -> None:
    one, other = make_yardstick(pack), make_yardstick(pack)
    assert np.array_equal(one.strangers, other.strangers)
    assert all(np.array_equal(one.queries[name], other.queries[name]) for name in one.queries)


def test_clips_of_one_scene_count_neither_for_nor_against() -> None:
    """Two references of the same color, and a stranger nearer to them than they, are of one
    scene."""
    colors = torch.eye(3)[[0, 0, 1]]

    def described(frames: Pictures) -> FrameFeatures:
        rows = torch.from_numpy(frames[:, 0, 0].astype(np.float32))
        return FrameFeatures(rows, rows[:, None])

    def frames(rows: torch.Tensor, each: int) -> Pictures:
        shown = rows.repeat_interleave(each, dim=0)[:, None, None].expand(-1, 4, 4, -1)
        return shown.numpy().astype(np.uint8)

    data = Yardstick(
        references=frames(colors, REFERENCE_FRAMES),
        queries={"text": frames(colors, QUERY_FRAMES)},
        strangers=frames(2 * colors[:1], 1),
        mates=np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]], bool),
        stranger_mates=np.array([[1, 1, 0]], bool),
    )
    assert measure(described, data)["all"] == FrameQuality(
        recall_at_1=1.0, micro_ap=1.0, recall_at_p95=1.0
    )
    strange = replace(data, stranger_mates=np.zeros((1, 3), bool))
    assert measure(described, strange)["all"].micro_ap < 1


def test_without_held_out_clips_there_is_no_yardstick(tmp_path: Path) -> None:
    pack = build_pack(DataSettings(procedural=4, size=80), tmp_path)
    with pytest.raises(ConfigurationError, match="held-out"):
        make_yardstick(pack)


def test_even_an_untrained_network_finds_some_edits(pack: Pack) -> None:
    network = untrained_network(pack.pictures[:8], seed=0)
    found = measure(partial(extract, network), make_yardstick(pack, references=2))
    assert set(found) == {*EDITS, CHAIN, "all", "regions"}
    assert all(0 <= value.micro_ap <= 1 for value in found.values())
    assert found["text"].micro_ap > 0
