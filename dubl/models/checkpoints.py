"""Saves and loads weights of torch networks in a model's folder (dubl.models.cards)."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

import safetensors.torch
import torch
from torch import Tensor

from dubl.errors import WeightsUnavailable
from dubl.models.cards import CARD_FILE, WEIGHTS_FILE, read_weights
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
    """Writes weights and card to `folder`, creates it if absent; returns the card with its hashes.

    `half`: convert floats to float16, as in the shipped weights. A card that has a sha256 keeps it.
    The card is written last: a folder without one, or with the card of other weights, does not
    load.
    """
    kept = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    content = safetensors.torch.save(
        {name: _half(value) if half else value for name, value in kept.items()}
    )
    digest = hashlib.sha256(content).hexdigest()
    stamped = replace(card, sha256=card.sha256 or digest, file_sha256=digest)
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
    """Raises WeightsUnavailable if a file is absent or damaged, or if the hashes differ."""
    arrays, card = read_weights(folder, weights_file=weights_file, card_file=card_file)
    return Checkpoint({name: torch.from_numpy(value) for name, value in arrays.items()}, card)


def read_torch_file(path: Path) -> object:
    """Content of a file by torch.save. Only tensors and plain values are unpickled; no code of the
    file runs. Raises WeightsUnavailable for anything else."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as exc:
        raise WeightsUnavailable(f"{path} cannot be read: {exc.strerror}") from exc
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as exc:
        raise WeightsUnavailable(f"{path} does not hold weights: {exc}") from exc


def require_tensors(loaded: object, *, name: str) -> dict[str, Tensor]:
    """Returns `loaded` as a state dict. Raises WeightsUnavailable if it is none."""
    if not isinstance(loaded, dict) or not loaded:
        raise WeightsUnavailable(f"{name} does not hold a state dict")
    state = {str(key): value for key, value in loaded.items() if isinstance(value, Tensor)}
    if len(state) != len(loaded):
        raise WeightsUnavailable(f"{name} holds other objects than tensors")
    return state


def _half(value: Tensor) -> Tensor:
    return value.half() if value.is_floating_point() else value


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(content)
    partial.replace(path)
