"""A model's folder: `weights.pt` (state dict, float16 where it is ours) and `card.json`.

The card says what the weights are, where they come from and how they did; its sha256 ties it to
the file, so that no weights are ever read under another model's name.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from dubl.errors import WeightsUnavailable
from dubl.models.cards import CARD_FILE, WEIGHTS_FILE, read_weights_file
from dubl.models.cards import ModelCard as ModelCard
from dubl.models.cards import read_card as read_card


class Checkpoint(NamedTuple):
    """Weights, float32, with their card."""

    state: dict[str, Tensor]
    card: ModelCard


def save_checkpoint(
    folder: Path,
    state: Mapping[str, Tensor],
    card: ModelCard,
    *,
    weights_file: str = WEIGHTS_FILE,
    card_file: str = CARD_FILE,
    half: bool = True,
) -> ModelCard:
    """Writes weights and card into `folder` (made if absent); returns the card with its sha256.

    `half`: as float16, which is what ships; else as they are. The card goes last: a folder without
    one, or with the card of other weights, does not load.
    """
    buffer = io.BytesIO()
    kept = {name: value.detach().cpu() for name, value in state.items()}
    torch.save({name: _half(value) if half else value for name, value in kept.items()}, buffer)
    content = buffer.getvalue()
    stamped = replace(card, sha256=hashlib.sha256(content).hexdigest())
    text = json.dumps(asdict(stamped), indent=2, ensure_ascii=False) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / weights_file, content)
        _write(folder / card_file, text.encode())
    except OSError as exc:
        raise WeightsUnavailable(f"{folder} cannot be written: {exc}") from exc
    return stamped


def load_checkpoint(
    folder: Path, *, weights_file: str = WEIGHTS_FILE, card_file: str = CARD_FILE
) -> Checkpoint:
    """Raises WeightsUnavailable when a file is absent, damaged, or not the one of the card."""
    content, card = read_weights_file(folder, weights_file=weights_file, card_file=card_file)
    loaded = read_state(content, name=str(folder / weights_file))
    return Checkpoint({name: _single(value) for name, value in loaded.items()}, card)


def read_state(content: bytes, *, name: str) -> dict[str, Tensor]:
    """Tensors by name in the bytes of a torch file; `name` is for messages. Runs no code of it."""
    try:
        loaded: object = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as exc:
        raise WeightsUnavailable(f"{name} does not hold weights: {exc}") from exc
    return require_tensors(loaded, name=name)


def require_tensors(loaded: object, *, name: str) -> dict[str, Tensor]:
    """`loaded` as a state dict, or WeightsUnavailable."""
    if not isinstance(loaded, dict) or not loaded:
        raise WeightsUnavailable(f"{name} does not hold a state dict")
    state = {str(key): value for key, value in loaded.items() if isinstance(value, Tensor)}
    if len(state) != len(loaded):
        raise WeightsUnavailable(f"{name} holds other objects than tensors")
    return state


def _half(value: Tensor) -> Tensor:
    return value.half() if value.is_floating_point() else value


def _single(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(content)
    partial.replace(path)
