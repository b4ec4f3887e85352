"""Matrices with known diagonals, and a net that learns to find them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from dubl.footage.procedural import procedural_picture
from dubl.models.aligner import AlignerNet
from dubl.models.numpy_aligner import NumpyAligner
from dubl.training.aligner_run import AlignerRun
from dubl.training.aligner_trainer import AlignerTrainer, aligner_loss, draw_batch
from dubl.training.alignment_footage import Scenery, imaginary, real
from dubl.training.alignment_matrices import draw_example, draw_pieces
from dubl.training.clips import Frames
from dubl.training.config import AlignerConfig, AlignerRunSettings, parse_aligner_config
from tests.unit.training.feature_packs import write_feature_pack

RUN = AlignerRunSettings(
    steps=4, batch_size=2, warmup_steps=1, log_every=1, checkpoint_every=2, validate_every=4
)
CONFIG = Path(__file__).resolve().parents[3] / "configs/train_aligner.yaml"


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def trainer() -> AlignerTrainer:
    torch.manual_seed(0)
    return AlignerTrainer(AlignerNet(), [imaginary()], RUN)


def ignore(network: AlignerNet, step: int) -> None:
    assert step > 0
    assert isinstance(network, AlignerNet)


def check_examples(scenery: Scenery) -> None:
    """Where a copy runs, frames are more alike than elsewhere."""
    on, off = [], []
    for seed in range(20):
        matrix, target = draw_example(np.random.default_rng(seed), scenery)
        assert matrix.shape == target.shape
        assert 0.0 <= matrix.min() <= matrix.max() <= 1.0
        on.append(matrix[target > 0.8])
        off.append(matrix[target < 0.05])
    assert np.concatenate(on).mean() > np.concatenate(off).mean() + 0.1


def test_imaginary_copies_stand_out_of_their_matrices() -> None:
    check_examples(imaginary())


def test_copies_of_real_clips_stand_out_of_their_matrices(tmp_path: Path) -> None:
    pack = write_feature_pack(tmp_path / "pack", clips=12, held_out=4, noise=0.3)
    pack.features[:] = [  # descriptors that tell frames apart, as real ones do
        type(one)(regions=one.regions, descriptors=one.regions[:, :, 0], guests=one.guests)
        for one in pack.features
    ]
    check_examples(real(pack, validation=False))
    check_examples(real(pack, validation=True))


def test_pieces_stay_inside_the_reference_and_one_after_another() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        reference_s = float(rng.uniform(3, 48))
        pieces, query_s = draw_pieces(rng, reference_s, copies=True)
        ends = [0.0]
        for piece in pieces:
            last = piece.reference_s + piece.slope * (piece.end_s - piece.start_s)
            assert min(piece.reference_s, last) >= -1e-6
            assert max(piece.reference_s, last) <= reference_s + 1e-6
            assert 0.25 <= abs(piece.slope) <= 4.0
            assert piece.start_s >= ends[-1]
            ends.append(piece.end_s)
        assert query_s >= ends[-1]


def test_the_batch_of_a_number_is_always_the_same() -> None:
    first, again = (draw_batch([imaginary()], RUN, 3) for _ in range(2))
    assert torch.equal(first.matrices, again.matrices)
    other = draw_batch([imaginary()], RUN, 4)
    assert first.matrices.shape != other.matrices.shape


def test_the_loss_falls_on_a_batch_seen_again() -> None:
    run = trainer()
    batch = draw_batch([imaginary()], RUN.model_copy(update={"batch_size": 4}), 1)
    before = float(aligner_loss(run.network, batch).overlap.detach())
    for _ in range(40):
        run.step = 1
        run.train_step(batch)
    assert float(aligner_loss(run.network, batch).overlap.detach()) < before - 0.1


def test_a_resumed_run_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = trainer()
    whole.run(tmp_path / "whole.pt", on_validation=ignore)
    half = trainer()
    for step in (1, 2):
        half.step = step
        half.train_step(draw_batch([imaginary()], RUN, step))
    half.save(tmp_path / "half.pt")
    resumed = trainer()
    resumed.resume(tmp_path / "half.pt")
    resumed.run(tmp_path / "half.pt", on_validation=ignore)
    expected = whole.network.state_dict()
    for name, value in resumed.network.state_dict().items():
        assert torch.allclose(value, expected[name], atol=1e-5), name


def paint(seed: int, rate_hz: float) -> Iterator[Frames]:
    rng = np.random.default_rng(seed)
    return (procedural_picture(rng, size=64) for _ in range(int(2 * rate_hz)))


def test_a_whole_run_gives_an_aligner_that_loads(tmp_path: Path) -> None:
    text = """
clips: {scenes: 2, validation_scenes: 1, versions: 1, min_frames: 4, max_frames: 4}
run: {steps: 2, batch_size: 2, log_every: 1, checkpoint_every: 1, validate_every: 2}
"""
    export = AlignerRun(parse_aligner_config(text), tmp_path, paint).run(resume=True)
    assert NumpyAligner.read(export) is not None
    assert (tmp_path / "loss.png").is_file()
    assert set(json.loads((tmp_path / "validation.json").read_text())) == {"2"}


def test_the_configuration_that_ships_is_valid() -> None:
    config = parse_aligner_config(CONFIG.read_text(encoding="utf-8"))
    assert config.run == AlignerConfig().run
