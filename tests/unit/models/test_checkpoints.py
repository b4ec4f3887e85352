"""Checkpoints: what is saved comes back, and nothing else is taken for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from dubl.errors import WeightsUnavailable
from dubl.models.checkpoints import ModelCard, load_checkpoint, read_card, save_checkpoint

CARD = ModelCard(
    name="test-net",
    feature={"frame_size": 160, "regions": 9},
    training_data=({"source": "made by rules", "license": "CC0-1.0"},),
    metrics={"micro_ap": 0.5},
    notes="für Tests",
)


def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {"layer.weight": torch.randn(3, 4), "steps": torch.tensor(7)}


def test_saved_weights_and_card_come_back(tmp_path: Path) -> None:
    stamped = save_checkpoint(tmp_path / "net", state(), CARD)
    loaded = load_checkpoint(tmp_path / "net")
    assert loaded.card == stamped
    assert loaded.card.training_data == CARD.training_data
    assert loaded.state["layer.weight"].dtype == torch.float32
    torch.testing.assert_close(
        loaded.state["layer.weight"], state()["layer.weight"], rtol=1e-3, atol=1e-3
    )
    assert loaded.state["steps"] == 7


def test_weights_lie_in_half_precision(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, state(), CARD)
    raw = torch.load(tmp_path / "weights.pt", weights_only=True)
    assert raw["layer.weight"].dtype == torch.float16


def test_changed_weights_are_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, state(), CARD)
    path = tmp_path / "weights.pt"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(WeightsUnavailable, match="sha256"):
        load_checkpoint(tmp_path)


def test_absent_folder_and_broken_card_are_reported(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match="not a model card"):
        load_checkpoint(tmp_path / "absent")
    (tmp_path / "card.json").write_text("[]")
    with pytest.raises(WeightsUnavailable, match="not a model card"):
        read_card(tmp_path)


def test_card_without_weights_is_reported(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, state(), CARD)
    (tmp_path / "weights.pt").unlink()
    with pytest.raises(WeightsUnavailable, match="cannot be read"):
        load_checkpoint(tmp_path)


def test_file_that_is_no_state_dict_is_refused(tmp_path: Path) -> None:
    card = save_checkpoint(tmp_path, state(), CARD)
    torch.save({"weights": {"nested": 1}}, tmp_path / "weights.pt")
    with pytest.raises(WeightsUnavailable, match="sha256"):
        load_checkpoint(tmp_path)
    assert json.loads((tmp_path / "card.json").read_text())["sha256"] == card.sha256
