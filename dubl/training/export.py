"""Writes weights and their model card in the form that `load_compact` reads."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from dubl.models.checkpoints import ModelCard, save_checkpoint
from dubl.models.compact import DESCRIPTOR_DIMS, FRAME_SIZE, GRID, REGION_DIMS, CompactNet

logger = logging.getLogger(__name__)

Metrics = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """Facts for the model card: version, data with licenses, figures, notes."""

    version: str
    training_data: list[dict[str, str | int]]
    metrics: dict[str, Metrics]
    notes: str
    name: str = "dubl-compact"


def export_weights(network: CompactNet, facts: CardFacts, folder: Path) -> str:
    """Writes `weights.safetensors` (float16) and `card.json`; returns the sha256 of the weights."""
    card = ModelCard(
        name=facts.name,
        version=facts.version,
        feature={
            "frame_size": FRAME_SIZE,
            "resize": "squash",
            "descriptor_dims": DESCRIPTOR_DIMS,
            "regions": GRID * GRID,
            "region_dims": REGION_DIMS,
        },
        training_data=tuple(facts.training_data),
        metrics=facts.metrics,
        notes=facts.notes,
    )
    digest = save_checkpoint(folder, network.state_dict(), card).sha256
    logger.info("wrote the weights %s to %s", digest[:12], folder)
    return digest
