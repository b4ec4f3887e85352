"""Writes weights and their model card in the form that `load_compact` reads."""

from __future__ import annotations

import hashlib
import io
import json
import logging
from dataclasses import dataclass
from pathlib import Path

import torch

from dubl.models.compact import DESCRIPTOR_DIMS, FRAME_SIZE, GRID, REGION_DIMS, CompactNet

logger = logging.getLogger(__name__)

Metrics = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """What a person must know about the weights: data with licenses, figures, remarks."""

    version: str
    training_data: list[dict[str, str | int]]
    metrics: dict[str, Metrics]
    notes: str
    name: str = "dubl-compact"


def export_weights(network: CompactNet, facts: CardFacts, folder: Path) -> str:
    """Writes `weights.pt` (float16) and `card.json`; returns the sha256 of the weights.

    The network's function is the same for the same card: float16 is what ships.
    """
    state = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    digest = hashlib.sha256(content).hexdigest()
    card = {
        "name": facts.name,
        "version": facts.version,
        "feature": {
            "frame_size": FRAME_SIZE,
            "resize": "squash",
            "descriptor_dims": DESCRIPTOR_DIMS,
            "regions": GRID * GRID,
            "region_dims": REGION_DIMS,
        },
        "sha256": digest,
        "training_data": facts.training_data,
        "metrics": facts.metrics,
        "notes": facts.notes,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights.pt").write_bytes(content)
    text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
    (folder / "card.json").write_text(text, encoding="utf-8")
    logger.info("wrote %d bytes of weights to %s", len(content), folder)
    return digest
