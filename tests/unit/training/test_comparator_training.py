"""The comparator's batches, training and validation on imaginary features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dubl.errors import ConfigurationError
from dubl.models.visil import Visil
from dubl.models.visil_config import VisilConfig
from dubl.training.clips import FeaturePack
from dubl.training.comparator_run import make_clip_queries, quality, scores
from dubl.training.comparator_trainer import (
    CHANGES,
    ClipBatches,
    ComparatorTrainer,
    changed_rows,
    window,
)
from dubl.training.config import ComparatorConfig, ComparatorRunSettings, parse_config
from tests.unit.training.feature_packs import DIMS, FRAMES, REGIONS, write_feature_pack

RUN = ComparatorRunSettings(
    steps=4, clips=4, frames=(8,), warmup_steps=1, log_every=1, checkpoint_every=2, validate_every=4
)


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> FeaturePack:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("features") / "pack"
    return write_feature_pack(folder, clips=16, held_out=8, noise=0.7)


def batches(pack: FeaturePack) -> ClipBatches:
    return ClipBatches(pack, RUN)


def trainer(pack: FeaturePack) -> ComparatorTrainer:
    torch.manual_seed(0)
    return ComparatorTrainer(Visil(VisilConfig(dims=DIMS)), batches(pack), RUN)


def ignore(network: Visil, step: int) -> None:
    assert step > 0
    assert isinstance(network, Visil)


def test_the_two_versions_of_a_clip_are_labeled_as_sharing_content(pack: FeaturePack) -> None:
    batch = batches(pack).make(1)
    assert batch.regions.shape == (8, 8, REGIONS, DIMS)
    labels = batch.labels
    assert torch.equal(labels, labels.T)
    assert (labels.diagonal() == 1).all()
    assert (labels[torch.arange(4), torch.arange(4) + 4] == 1).all()
    assert (labels[:4, :4] == torch.eye(4)).all()


def test_the_batch_of_a_step_is_always_the_same(pack: FeaturePack) -> None:
    assert torch.equal(batches(pack).make(3).regions, batches(pack).make(3).regions)
    assert not torch.equal(batches(pack).make(3).regions, batches(pack).make(4).regions)


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_in_time_keeps_rows_of_the_clip(change: str) -> None:
    rows = changed_rows(np.arange(20), change, np.random.default_rng(0))
    assert 0 < len(rows) <= 40
    assert set(rows.tolist()) <= set(range(20))


def test_faster_and_slower_copies_keep_the_order() -> None:
    rng = np.random.default_rng(0)
    assert len(changed_rows(np.arange(20), "fast", rng)) <= 10
    assert changed_rows(np.arange(4), "slow", rng).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_a_window_stays_inside_and_short_clips_repeat() -> None:
    assert window(np.arange(10), 8, 4).tolist() == [6, 7, 8, 9]
    assert window(np.arange(3), 0, 5).tolist() == [0, 1, 2, 0, 1]


def test_the_loss_falls_on_a_batch_seen_again(pack: FeaturePack) -> None:
    run = trainer(pack)
    batch = batches(pack).make(1)
    totals = []
    for step in range(1, 13):
        run.step = min(step, 2)
        totals.append(float(run.train_step(batch).total.detach()))
    assert totals[-1] < totals[0] - 0.1


def test_a_resumed_run_ends_as_an_uninterrupted_one(pack: FeaturePack, tmp_path: Path) -> None:
    whole = trainer(pack)
    whole.run(tmp_path / "whole.pt", on_validation=ignore)
    half = trainer(pack)
    for step in (1, 2):
        half.step = step
        half.train_step(batches(pack).make(step))
    half.save(tmp_path / "half.pt")
    resumed = trainer(pack)
    resumed.resume(tmp_path / "half.pt")
    resumed.run(tmp_path / "half.pt", on_validation=ignore)
    expected = whole.network.state_dict()
    for name, value in resumed.network.state_dict().items():
        assert torch.allclose(value, expected[name], atol=1e-5), name
    assert len(whole.history) == 4


def test_a_file_that_is_no_checkpoint_is_refused(pack: FeaturePack, tmp_path: Path) -> None:
    torch.save({"step": 1}, tmp_path / "bad.pt")
    with pytest.raises(ConfigurationError, match="no checkpoint"):
        trainer(pack).resume(tmp_path / "bad.pt")


def test_plain_chamfer_finds_copies_that_are_hardly_edited(tmp_path: Path) -> None:
    easy = write_feature_pack(tmp_path / "easy", clips=8, held_out=8, noise=0.1)
    data = make_clip_queries(easy, share=0.5)
    assert data.queries.shape[0] == 16
    result = quality(scores(None, data), data)
    assert (result.micro_ap, result.recall_at_p1) == (1.0, 1.0)


def test_a_clip_that_an_edit_shows_as_well_counts_neither_way(pack: FeaturePack) -> None:
    numbers = pack.select(validation=True)
    pack.features[int(numbers[0])].guests[1] = numbers[1]
    data = make_clip_queries(pack, share=1.0)
    pack.features[int(numbers[0])].guests[1] = -1
    assert not data.counted[0, 1]
    assert data.counted.sum() == data.counted.size - 1


def test_training_raises_the_quality_on_held_out_clips(tmp_path: Path) -> None:
    torch.manual_seed(0)
    pack = write_feature_pack(tmp_path / "pack", clips=24, held_out=8, noise=1.2)
    data = make_clip_queries(pack, share=1.0)
    settings = RUN.model_copy(update={"steps": 60, "learning_rate": 3e-3})
    run = ComparatorTrainer(Visil(VisilConfig(dims=DIMS)), batches(pack), settings)
    before = quality(scores(run.network, data), data).micro_ap
    run.run(tmp_path / "last.pt", on_validation=ignore)
    assert quality(scores(run.network, data), data).micro_ap > before


def test_rows_of_a_query_come_from_the_middle(pack: FeaturePack) -> None:
    data = make_clip_queries(pack, share=0.5)
    number = int(pack.select(validation=True)[0])
    version = torch.from_numpy(pack.features[number].regions[1]).float()
    assert torch.equal(data.queries[0, 0], version[FRAMES // 4])


def test_a_wrong_key_in_the_configuration_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"clips\.scenez"):
        parse_config(ComparatorConfig, "clips: {scenez: 3}")
