"""A model's folder: `weights.safetensors` (float16 where it is ours) and `card.json`.

The card says what the weights are, where they come from and how they did; it is tied to the file,
so that no weights are ever read under another model's name. Needs no torch.
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
    """What a person and a program must know of weights before using them.

    feature: the fields of dubl.types.FeatureSpec that depend on the network alone.
    training_data: a source each, with its license. metrics: figures by name, nested at will.
    sha256: names the weights, and the feature space that they make, for good; file_sha256: of the
    file that holds them now, which differs where they were written anew in another form.
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
    """Arrays by name, floating ones as float32, with their card."""

    arrays: Arrays
    card: ModelCard


def read_weights(
    folder: Path, *, weights_file: str = WEIGHTS_FILE, card_file: str = CARD_FILE
) -> Weights:
    """Raises WeightsUnavailable when a file is absent, damaged, or not the one of the card."""
    card = read_card(folder, card_file=card_file)
    path = folder / weights_file
    try:
        content = path.read_bytes()
    except OSError as exc:
        raise WeightsUnavailable(f"{path} cannot be read: {exc}{_hint(path)}") from exc
    if hashlib.sha256(content).hexdigest() != card.file_sha256:
        raise WeightsUnavailable(f"{path} differs from the sha256 in {folder / card_file}")
    try:
        arrays = safetensors.numpy.load(content)
    except (SafetensorError, KeyError, ValueError) as exc:
        raise WeightsUnavailable(f"{path} does not hold weights: {exc}") from exc
    return Weights({name: _single(values) for name, values in arrays.items()}, card)


def read_card(folder: Path, *, card_file: str = CARD_FILE) -> ModelCard:
    """The card alone, unchecked against the weights."""
    path = folder / card_file
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        known = {entry.name for entry in fields(ModelCard)}
        card = ModelCard(**{name: value for name, value in values.items() if name in known})
    except (OSError, ValueError, TypeError, AttributeError) as exc:
        raise WeightsUnavailable(f"{path} is not a model card: {exc}") from exc
    return replace(card, training_data=tuple(card.training_data))


def network_name(folder: Path) -> str:
    """Which network a model's folder holds: its card says, where it is not the compact one."""
    return str(read_card(folder).feature.get("network", COMPACT))


def _single(values: NDArray[Any]) -> NDArray[Any]:
    return values.astype(np.float32) if values.dtype.kind == "f" else values


def _hint(path: Path) -> str:
    if not path.with_suffix(".pt").exists():
        return ""
    return f"; `dubl weights convert {path.parent}` makes it of the file of an earlier version"
