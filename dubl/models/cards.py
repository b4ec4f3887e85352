"""A model's folder: `weights.safetensors` (float16 for our own models) and `card.json`.

The card describes the weights: source, training data, figures. Its `file_sha256` must match the
weights file, so no weights load under another model's name. This module does not import torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from dubl.errors import WeightsUnavailable

Arrays = Mapping[str, NDArray[Any]]

WEIGHTS_FILE = "weights.safetensors"
CARD_FILE = "card.json"
COMPACT = "compact"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """Description of weights, for people and programs.

    feature: the fields of dubl.types.FeatureSpec that depend on the network alone.
    training_data: one entry a source, with its license. metrics: figures by name, of any depth.
    sha256: permanent name of the weights and of their feature space; file_sha256: hash of the
    present file. They differ if the weights were converted to another file format.
    """

    name: str
    version: str = ""
    feature: Mapping[str, str | int] = field(default_factory=dict)
    training_data: tuple[Mapping[str, str | int], ...] = ()
    metrics: Mapping[str, object] = field(default_factory=dict)
    notes: str = ""
    sha256: str = ""
    file_sha256: str = ""


class Weights(NamedTuple):
    """Arrays by name (floats as float32), and their card."""

    arrays: Arrays
    card: ModelCard


def read_weights(
    folder: Path, *, weights_file: str = WEIGHTS_FILE, card_file: str = CARD_FILE
) -> Weights:
    """Raises WeightsUnavailable if a file is absent or damaged, or if the hashes differ."""
    card = read_card(folder, card_file=card_file)
    path = folder / weights_file
    try:
        content = path.read_bytes()
    except OSError as exc:
        raise WeightsUnavailable(f"{path} cannot be read: {exc}") from exc
    if hashlib.sha256(content).hexdigest() != card.file_sha256:
        raise WeightsUnavailable(f"{path} differs from the sha256 in {folder / card_file}")
    try:
        arrays = safetensors.numpy.load(content)
    except (SafetensorError, KeyError, ValueError) as exc:
        raise WeightsUnavailable(f"{path} does not hold weights: {exc}") from exc
    return Weights({name: _single(values) for name, values in arrays.items()}, card)


def read_card(folder: Path, *, card_file: str = CARD_FILE) -> ModelCard:
    """Reads the card without checking the weights. Raises WeightsUnavailable."""
    path = folder / card_file
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        known = {entry.name for entry in fields(ModelCard)}
        card = ModelCard(**{name: value for name, value in values.items() if name in known})
    except (OSError, ValueError, TypeError, AttributeError) as exc:
        raise WeightsUnavailable(f"{path} is not a model card: {exc}") from exc
    return replace(card, training_data=tuple(card.training_data))


def network_name(folder: Path) -> str:
    """Name of the network in a model's folder; the compact one if the card names none."""
    return str(read_card(folder).feature.get("network", COMPACT))


def _single(values: NDArray[Any]) -> NDArray[Any]:
    return values.astype(np.float32) if values.dtype.kind == "f" else values
