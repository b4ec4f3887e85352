"""Checkpoints: what is saved comes back, and nothing else is taken for it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch

from dubl.errors import WeightsUnavailable
from dubl.models.cards import CARD_FILE, WEIGHTS_FILE, read_card, read_weights
from dubl.models.checkpoints import ModelCard, load_checkpoint, save_checkpoint
from dubl.models.published import read_published

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
    raw = safetensors.numpy.load((tmp_path / WEIGHTS_FILE).read_bytes())
    assert raw["layer.weight"].dtype == np.float16


def test_weights_are_read_without_torch_as_float32(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, state(), CARD)
    arrays, card = read_weights(tmp_path)
    assert arrays["layer.weight"].dtype == np.float32
    assert (arrays["steps"], card.name) == (7, CARD.name)


def test_changed_weights_are_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, state(), CARD)
    path = tmp_path / WEIGHTS_FILE
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
    (tmp_path / WEIGHTS_FILE).unlink()
    with pytest.raises(WeightsUnavailable, match="cannot be read"):
        load_checkpoint(tmp_path)


def test_file_that_is_no_state_dict_is_refused(tmp_path: Path) -> None:
    card = save_checkpoint(tmp_path, state(), CARD)
    torch.save({"weights": {"nested": 1}}, tmp_path / WEIGHTS_FILE)
    with pytest.raises(WeightsUnavailable, match="sha256"):
        load_checkpoint(tmp_path)
    assert json.loads((tmp_path / "card.json").read_text())["sha256"] == card.sha256


@pytest.mark.parametrize("content", [b"", b"no weights", b"\x02\0\0\0\0\0\0\0[]"])
def test_what_holds_no_weights_is_refused_though_its_hash_is_right(
    tmp_path: Path, content: bytes
) -> None:
    card = asdict(CARD) | {"file_sha256": hashlib.sha256(content).hexdigest()}
    (tmp_path / CARD_FILE).write_text(json.dumps(card))
    (tmp_path / WEIGHTS_FILE).write_bytes(content)
    with pytest.raises(WeightsUnavailable, match="does not hold weights"):
        read_weights(tmp_path)


class Malicious:
    def __reduce__(self) -> tuple[object, ...]:
        return (pytest.fail, ("code of the file was run",))


@pytest.mark.parametrize("content", [[1], {}, {"a": 1}, {"a": Malicious()}])
def test_a_file_of_other_things_than_tensors_is_no_published_model(
    tmp_path: Path, content: object
) -> None:
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    with pytest.raises(WeightsUnavailable):
        read_published(path)
