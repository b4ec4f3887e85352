"""Weights that are nearly the shipped ones: another feature space that finds the same copies."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch

from dubl.assembly import SHIPPED_WEIGHTS
from dubl.models.cards import ModelCard
from dubl.models.compact import load_compact, save_compact
from dubl.models.numpy_comparator import COMPARATOR_CARD_FILE

NOISE = 1e-3
SAME = ("calibration.json", "background.npy", "comparator.safetensors")


def other_weights(folder: Path, *, seed: int = 0) -> Path:
    """Writes them into `folder`, with the shipped calibration and comparator."""
    shipped = SHIPPED_WEIGHTS / "dubl-compact"
    network = load_compact(shipped)
    chance = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for values in network.parameters():
            noise = torch.randn(values.shape, generator=chance)
            values.mul_(1 + NOISE * noise)
    card = ModelCard(name="dubl-compact", version="other", notes="for tests")
    digest = save_compact(folder, network, card).sha256
    for name in SAME:
        shutil.copyfile(shipped / name, folder / name)
    comparator = json.loads((shipped / COMPARATOR_CARD_FILE).read_text())
    comparator["feature"]["weights_sha256"] = digest
    (folder / COMPARATOR_CARD_FILE).write_text(json.dumps(comparator))
    return folder
