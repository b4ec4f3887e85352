"""The comparator network beside the weights whose features it reads: saved, and loaded into torch
to be trained on; matching runs it by dubl.models.numpy_comparator."""

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
    """Writes `comparator.safetensors` and `comparator.json` into `folder`.

    `card.feature` names the `weights_sha256` of the network whose features it was trained on; the
    network's own config is added.
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
    """The network in `folder`, ready for inference, or None where there is none.

    Raises WeightsUnavailable when it is damaged, does not fit, or was trained on the features of
    other weights than those beside it.
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
