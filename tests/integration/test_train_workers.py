"""Two workers of Ray Train train one comparator, and a run that was cut off goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
import torch
from typer.testing import CliRunner

from dubl.models.comparator import COMPARATOR_FILE
from pipelines.train import app

CONFIG = """
clips: {{scenes: 3, validation_scenes: 2, versions: 1, frame_size: 72}}
run: {{steps: {steps}, clips: 2, frames: [4], log_every: 1, checkpoint_every: 1, validate_every: 2}}
"""


@pytest.fixture(autouse=True)
def _own_cluster() -> Iterator[None]:
    yield
    ray.shutdown()


def train(folder: Path, steps: int, *options: str) -> tuple[int, str]:
    config = folder / "config.yaml"
    config.write_text(CONFIG.format(steps=steps))
    output = folder / "run"
    arguments = ["comparator", "--config", str(config), "--output", str(output), *options]
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.output


def test_two_workers_train_one_network_and_resume(tmp_path: Path) -> None:
    code, output = train(tmp_path, 2, "--workers", "2")
    assert code == 0, output
    export = tmp_path / "run/export"
    assert str(export) in output
    first = torch.load(export / COMPARATOR_FILE)
    code, output = train(tmp_path, 4, "--workers", "2")
    assert code == 1
    assert "--resume" in output
    code, output = train(tmp_path, 4, "--workers", "2", "--resume")
    assert code == 0, output
    results = json.loads((tmp_path / "run/validation.json").read_text())
    assert set(results) == {"plain", "2", "4"}
    last = torch.load(tmp_path / "run/last.pt", weights_only=True)
    assert last["step"] == 4
    assert not torch.equal(
        last["network"]["visil_head.conv1.weight"], first["visil_head.conv1.weight"].float()
    )
