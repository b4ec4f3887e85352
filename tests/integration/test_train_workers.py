"""Two workers of Ray Train train one network, and a run that was cut off goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from dubl.errors import OperatorError
from dubl.models.cards import WEIGHTS_FILE
from dubl.models.numpy_comparator import COMPARATOR_FILE
from dubl.training.workers import Workers
from pipelines.train import app
from tests.unit.training.packs import write_archive

pytestmark = pytest.mark.slow

COMPARATOR = """
clips: {{scenes: 3, validation_scenes: 2, versions: 1, min_frames: 4, max_frames: 4}}
run: {{steps: {steps}, clips: 2, frames: [4], log_every: 1, checkpoint_every: 1, validate_every: 2}}
"""
DESCRIPTOR = """
data: {{images: [{images}], validation_repositories: [held/out]}}
views: {{first_size: 72, last_size: 72, strength: 0.3}}
optimizer: {{frozen_stages: 4, warmup_steps: 1}}
loss: {{queue: 16}}
run: {{steps: {steps}, batch_size: 4, device: cpu, log_every: 1, checkpoint_every: 1}}
"""


@pytest.fixture(autouse=True, scope="module")
def _joined_cluster(ray_address: str) -> Iterator[None]:
    import ray  # reads the environment when it is imported

    ray.init(ray_address)
    yield
    ray.shutdown()


def on_two_workers(train: Callable[[], Path], output: Path) -> Path:
    from pipelines.train_workers import train_on_workers

    return train_on_workers(train, output=output, workers=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A network that Ray Train trains: `before` is the measurement without training, `learned` a
    weight that the second half of the run changes."""

    command: str
    config: str
    weights: str
    before: str
    learned: str

    def train(self, folder: Path, steps: int, *options: str) -> tuple[int, str]:
        config = folder / "config.yaml"
        images = write_archive(folder, count=32, held_out=8)
        config.write_text(self.config.format(steps=steps, images=images))
        arguments = ["--config", str(config), "--output", str(folder / "run"), *options]
        result = CliRunner().invoke(app, [self.command, "--workers", "2", *arguments])
        return result.exit_code, result.output


KINDS = (
    Kind(
        command="comparator",
        config=COMPARATOR,
        weights=COMPARATOR_FILE,
        before="plain",
        learned="visil_head.conv1.weight",
    ),
    Kind(
        command="descriptor",
        config=DESCRIPTOR,
        weights=WEIGHTS_FILE,
        before="0",
        learned="descriptor_head.weight",
    ),
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.command)
def test_two_workers_train_a_network_and_resume(kind: Kind, tmp_path: Path) -> None:
    code, output = kind.train(tmp_path, 2)
    assert code == 0, output
    export = tmp_path / "run/export"
    assert str(export) in output
    assert (export / kind.weights).is_file()
    first = torch.load(tmp_path / "run/last.pt", weights_only=True)
    code, output = kind.train(tmp_path, 4)
    assert code == 1
    assert "--resume" in output
    code, output = kind.train(tmp_path, 4, "--resume")
    assert code == 0, output
    results = json.loads((tmp_path / "run/validation.json").read_text())
    assert set(results) == {kind.before, "2", "4"}
    last = torch.load(tmp_path / "run/last.pt", weights_only=True)
    assert (first["step"], last["step"]) == (2, 4)
    assert not torch.equal(last["network"][kind.learned], first["network"][kind.learned])


def test_workers_hold_one_network_and_a_lost_one_is_replaced(tmp_path: Path) -> None:
    def learn() -> Path:
        workers = Workers.current()
        workers.leaders(0.0)  # both are there
        if workers.rank == 1 and not (tmp_path / "died").exists():
            (tmp_path / "died").touch()
            raise MemoryError("the machine is gone")
        torch.manual_seed(workers.rank)
        network = nn.Linear(2, 1, bias=False)
        workers.share(network)
        with workers.leader_first():
            found = (tmp_path / "made").exists()
            (tmp_path / "made").touch()
        loss = network(torch.full((1, 2), float(workers.rank + 1))).sum()
        torch.autograd.backward([loss])
        workers.average_gradients(network.parameters())
        told = {
            "weight": network.weight.detach(),
            "gradient": network.weight.grad,
            "rows": workers.gathered(torch.tensor([workers.rank])),
            "clock": torch.tensor(workers.leaders(10.0 + workers.rank)),
            "found": torch.tensor(found),
            "batch": torch.tensor(workers.batch_number(3)),
        }
        torch.save(told, tmp_path / f"rank{workers.rank}.pt")
        return tmp_path

    assert on_two_workers(learn, tmp_path) == tmp_path
    assert (tmp_path / "died").exists()
    leader, other = (torch.load(tmp_path / f"rank{rank}.pt") for rank in range(2))
    assert torch.equal(leader["weight"], other["weight"])
    for told in (leader, other):
        assert told["gradient"].tolist() == [[1.5, 1.5]]
        assert told["rows"].tolist() == [0, 1]
        assert float(told["clock"]) == 10.0
    assert (bool(leader["found"]), bool(other["found"])) == (False, True)
    assert (int(leader["batch"]), int(other["batch"])) == (6, 7)


def test_what_always_fails_ends_with_its_reason(tmp_path: Path) -> None:
    def fail() -> Path:
        raise ValueError("no clip is left")

    with pytest.raises(OperatorError, match="no clip is left"):
        on_two_workers(fail, tmp_path)
