"""Model cards, and weights files that are held to them. Needs no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from dubl.errors import WeightsUnavailable

WEIGHTS_FILE = "weights.pt"
CARD_FILE = "card.json"
COMPACT = "compact"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What a person and a program must know of weights before using them.

    feature: the fields of dubl.types.FeatureSpec that depend on the network alone.
    training_data: a source each, with its license. metrics: figures by name, nested at will.
    """

    name: str
    version: str = ""
    feature: Mapping[str, str | int] = field(default_factory=dict)
    training_data: tuple[Mapping[str, str | int], ...] = ()
    metrics: Mapping[str, object] = field(default_factory=dict)
    notes: str = ""
    sha256: str = ""


def read_weights_file(
    folder: Path, *, weights_file: str = WEIGHTS_FILE, card_file: str = CARD_FILE
) -> tuple[bytes, ModelCard]:
    """The bytes of a weights file and its card.

    Raises WeightsUnavailable when a file is absent, or the weights are not those of the card.
    """
    card = read_card(folder, card_file=card_file)
    path = folder / weights_file
    try:
        content = path.read_bytes()
    except OSError as exc:
        raise WeightsUnavailable(f"{path} cannot be read: {exc}") from exc
    if hashlib.sha256(content).hexdigest() != card.sha256:
        raise WeightsUnavailable(f"{path} differs from the sha256 in {folder / card_file}")
    return content, card


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
