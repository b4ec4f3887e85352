"""Saves the comparator network to a model's folder and loads it into torch for training.

Matching runs it by dubl.models.numpy_comparator.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, replace
from pathlib import Path

from dubl.errors import WeightsUnavailable
from dubl.models.checkpoints import ModelCard, load_checkpoint, save_checkpoint
from dubl.models.numpy_comparator import COMPARATOR_CARD_FILE, COMPARATOR_FILE, check_features
from dubl.models.visil import Visil
from dubl.models.visil_config import config_of

logger = logging.getLogger(__name__)


def save_comparator(folder: Path, network: Visil, card: ModelCard) -> None:
    """Writes `comparator.safetensors` and `comparator.json` to `folder`.

    `card.feature` must name the `weights_sha256` of the frame network that it was trained with.
    The comparator's own config is added to it.
    """
    config: dict[str, str | int] = asdict(network.config)
    save_checkpoint(
        folder,
        network.state_dict(),
        replace(card, feature={**card.feature, **config}),
        weights_file=COMPARATOR_FILE,
        card_file=COMPARATOR_CARD_FILE,
    )


def load_comparator(folder: Path) -> Visil | None:
    """The comparator in `folder`, in eval mode, or None if there is none.

    Raises WeightsUnavailable if the file is damaged, does not fit the network, or was trained with
    another frame network.
    """
    if not (folder / COMPARATOR_FILE).exists():
        logger.info("no %s in %s; plain Chamfer similarity is used", COMPARATOR_FILE, folder)
        return None
    state, card = load_checkpoint(
        folder, weights_file=COMPARATOR_FILE, card_file=COMPARATOR_CARD_FILE
    )
    check_features(card, folder)
    try:
        network = Visil(config_of(card))
        network.load_state_dict(state)
    except (RuntimeError, TypeError, ValueError) as exc:
        raise WeightsUnavailable(
            f"{folder / COMPARATOR_FILE} does not hold the network's weights"
        ) from exc
    return network.eval().requires_grad_(False)
