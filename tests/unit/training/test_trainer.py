"""A run learns, resumes where it stopped, and its result loads as shipped weights do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import nn

from dubl.errors import ConfigurationError
from dubl.models.compact import CompactNet, load_compact
from dubl.plots import loss_curves
from dubl.training.config import DataSettings, TrainingConfig, parse_config
from dubl.training.datasets import Pack, build_pack
from dubl.training.descriptor_run import DescriptorRun
from dubl.training.heads import fit_projection, untrained_network, whiten_head
from dubl.training.sampling import BatchMaker
from dubl.training.trainer import Trainer
from dubl.training.views import StrongRanges
from tests.unit.training.packs import HELD_OUT, write_archive

TINY = """
views: {first_size: 72, last_size: 72, strength: 0.3}
optimizer: {head_rate: 0.003, backbone_rate: 0.001, warmup_steps: 1, frozen_stages: 4}
loss: {entropy: 0.1, queue: 16}
run: {steps: 2, batch_size: 4, log_every: 1, checkpoint_every: 1}
"""


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    torch.set_num_threads(1)
    return build_pack(DataSettings(procedural=24, size=80), tmp_path_factory.mktemp("pack"))


@pytest.fixture
def config() -> TrainingConfig:
    return parse_config(TrainingConfig, TINY)


def batch_maker(pack: Pack) -> BatchMaker:
    ranges = StrongRanges(strength=0.3, inset=0.0, split=0.0, reaction=0.0)
    return BatchMaker(pack, batch_size=4, seed=0, ranges=ranges, scene_share=0)


def trainer(pack: Pack, config: TrainingConfig) -> Trainer:
    network = untrained_network(pack.pictures[:8], seed=0)
    return Trainer(network, batch_maker(pack), config)


def train_steps(run: Trainer, pack: Pack, steps: Sequence[int], *, batch_of: int) -> list[float]:
    """Contrast loss of each step, all on the batch of one step."""
    batch = batch_maker(pack).make(batch_of, size=72)
    keys = run.make_keys(batch)
    losses = []
    for step in steps:
        run.step = step
        losses.append(float(run.train_step(batch, lambda: keys).contrast.detach()))
    return losses


def ignore(network: CompactNet, step: int) -> None:
    assert step > 0
    assert isinstance(network, CompactNet)


def test_loss_falls_on_a_batch_seen_again(pack: Pack, config: TrainingConfig) -> None:
    losses = train_steps(trainer(pack, config), pack, range(1, 7), batch_of=1)
    assert losses[-1] < losses[0]


def test_a_resumed_run_ends_as_an_uninterrupted_one(
    pack: Pack, config: TrainingConfig, tmp_path: Path
) -> None:
    whole = trainer(pack, config)
    whole.run(tmp_path / "whole.pt", on_validation=ignore)
    half = trainer(pack, config)
    train_steps(half, pack, [1], batch_of=1)
    half.save(tmp_path / "half.pt")
    resumed = trainer(pack, config)
    resumed.resume(tmp_path / "half.pt")
    resumed.run(tmp_path / "half.pt", on_validation=ignore)
    assert resumed.step == whole.step == 2
    expected = whole.average.state_dict()
    for name, value in resumed.average.state_dict().items():
        assert torch.allclose(value, expected[name], atol=1e-5), name


def test_frozen_stages_keep_their_weights(pack: Pack, config: TrainingConfig) -> None:
    run = trainer(pack, config)
    before = {name: value.clone() for name, value in run.network.state_dict().items()}
    train_steps(run, pack, [1], batch_of=1)
    changed = {
        name for name, v in run.network.state_dict().items() if not torch.equal(v, before[name])
    }
    assert not any(name.startswith(("stages.0", "stages.3")) for name in changed)
    assert any(name.startswith("stages.4") for name in changed)
    assert "descriptor_head.weight" in changed


def test_a_file_that_is_no_checkpoint_is_refused(
    pack: Pack, config: TrainingConfig, tmp_path: Path
) -> None:
    path = tmp_path / "bad.pt"
    torch.save({"step": 1}, path)
    with pytest.raises(ConfigurationError, match="no checkpoint"):
        trainer(pack, config).resume(path)


def test_random_weights_give_standardized_maps(pack: Pack) -> None:
    pictures = pack.pictures[:8]
    network = untrained_network(pictures, seed=0)
    last = network.maps(torch.from_numpy(pictures.copy()))[-1]
    assert 0.1 < float(last.detach().std()) < 2


def test_a_fitted_head_whitens() -> None:
    samples = torch.randn(500, 8, generator=torch.Generator().manual_seed(0))
    samples = samples * torch.arange(1.0, 9.0) + 5
    head = nn.Linear(8, 4)
    fit_projection(head, samples, whitening=1.0)
    projected = head(samples).detach()
    covariance = projected.T @ projected / len(samples)
    assert torch.allclose(covariance / covariance[0, 0], torch.eye(4), atol=1e-3)


def test_whitening_a_head_afterwards_removes_the_common_direction() -> None:
    samples = torch.randn(500, 8, generator=torch.Generator().manual_seed(0)) + 3
    head = nn.Linear(8, 4)
    whiten_head(head, samples, whitening=1.0)
    outputs = head(samples).detach()
    covariance = outputs.T @ outputs / len(samples)
    assert torch.allclose(outputs.mean(dim=0), torch.zeros(4), atol=1e-4)
    assert torch.allclose(covariance / covariance[0, 0], torch.eye(4), atol=1e-3)


def test_the_loss_curves_have_a_point_for_each_record(
    pack: Pack, config: TrainingConfig, tmp_path: Path
) -> None:
    run = trainer(pack, config)
    run.run(tmp_path / "last.pt", on_validation=ignore)
    drawn = loss_curves(run.curves("contrast", "entropy", "regions")).axes
    assert [len(axes.lines[0].get_xdata()) for axes in drawn] == [len(run.history)] * 3


def test_a_whole_run_gives_weights_that_load(tmp_path: Path) -> None:
    archive = write_archive(tmp_path, count=24, held_out=2)
    held_out = f"validation_repositories: [{HELD_OUT}]"
    text = TINY + f"data: {{images: [{archive}], procedural: 4, {held_out}}}"
    result = DescriptorRun(parse_config(TrainingConfig, text), tmp_path / "run").run(resume=False)
    network = load_compact(result)
    assert network(torch.zeros(1, 160, 160, 3, dtype=torch.uint8)).descriptors.shape == (1, 256)
    assert (tmp_path / "run/loss.png").is_file()


def test_a_wrong_key_in_the_configuration_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"run\.stepps"):
        parse_config(TrainingConfig, "run: {stepps: 3}")
