"""The learned similarity of two videos behind the port that matching uses."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dubl.errors import WeightsUnavailable
from dubl.models.chamfer import chamfer, frame_similarities
from dubl.models.checkpoints import ModelCard, load_checkpoint, read_card, save_checkpoint
from dubl.models.visil import Visil, VisilConfig
from dubl.types import Float16Array, Float32Array

COMPARATOR_FILE = "comparator.pt"
COMPARATOR_CARD_FILE = "comparator.json"

logger = logging.getLogger(__name__)


class TorchComparator:
    """Compares raw region features [T,R,D] of two videos.

    With trained weights (S2VS), attention weighs the regions and the comparator cleans the matrix
    before the similarity of the videos is taken. Without them, regions count alike and it is the
    Chamfer similarity of the frame matrix (ViSiL, section 3.3: "ViSiL_f"). The frame matrix that
    alignment reads is unweighted in both cases: its levels are those of the calibration.
    """

    def __init__(self, folder: Path, *, threads: int = 1, device: str = "cpu") -> None:
        """Reads `comparator.pt` of the model's folder, where there is one; see load_comparator."""
        torch.set_num_threads(threads)
        self._device = torch.device(device)
        network = load_comparator(folder)
        self._network = None if network is None else network.to(self._device)

    @torch.inference_mode()
    def similarity(self, query: Float16Array, reference: Float16Array) -> float:
        """Similarity in [0,1], the larger of both directions: a piece inside a longer video
        counts whichever side is the piece. Without frames on a side, 0."""
        if not len(query) or not len(reference):
            return 0.0
        left, right = self._indexed(query), self._indexed(reference)
        return max(self._directed(left, right), self._directed(right, left))

    @torch.inference_mode()
    def similarity_matrix(self, query: Float16Array, reference: Float16Array) -> Float32Array:
        """Frame-to-frame similarity [T,U] in [-1,1], mean of both directions.

        The region Chamfer is asymmetric by definition (mean over query regions): its mean does
        not depend on which side was cropped.
        """
        if not len(query) or not len(reference):
            return np.zeros((len(query), len(reference)), dtype=np.float32)
        left, right = self._tensor(query), self._tensor(reference)
        values: Float32Array = frame_similarities(left, right, symmetric=True).cpu().numpy()
        return values

    def _tensor(self, regions: Float16Array) -> Tensor:
        # Copied: torch takes no array that runs backwards.
        return torch.from_numpy(regions.astype(np.float32)).to(self._device)

    def _indexed(self, regions: Float16Array) -> Tensor:
        features = self._tensor(regions)
        return features if self._network is None else self._network.index_video(features)

    def _directed(self, query: Tensor, reference: Tensor) -> float:
        if self._network is None:
            value = float(chamfer(frame_similarities(query, reference)))
            return min(max(value, 0.0), 1.0)
        return float(self._network.similarity(query, reference).item()) / 2 + 0.5


def save_comparator(folder: Path, network: Visil, card: ModelCard) -> None:
    """Writes `comparator.pt` (float16) and `comparator.json` into `folder`.

    `card.feature` names the `weights_sha256` of the network whose features it was trained on.
    """
    save_checkpoint(
        folder,
        network.state_dict(),
        card,
        weights_file=COMPARATOR_FILE,
        card_file=COMPARATOR_CARD_FILE,
    )


def load_comparator(folder: Path) -> Visil | None:
    """The network in `folder`, ready for inference, or None where there is none.

    Raises WeightsUnavailable when it is damaged, does not fit, or was trained on the features of
    other weights than those beside it.
    """
    if not (folder / COMPARATOR_FILE).exists():
        logger.info("no %s in %s: plain Chamfer similarity", COMPARATOR_FILE, folder)
        return None
    state, card = load_checkpoint(
        folder, weights_file=COMPARATOR_FILE, card_file=COMPARATOR_CARD_FILE
    )
    _check_features(card, folder)
    try:
        network = Visil(_config_of(state))
        network.load_state_dict(state)
    except (RuntimeError, KeyError) as exc:
        raise WeightsUnavailable(
            f"{folder / COMPARATOR_FILE} does not hold the network's weights"
        ) from exc
    return network.eval().requires_grad_(False)


def _check_features(card: ModelCard, folder: Path) -> None:
    trained_on = card.feature.get("weights_sha256")
    if trained_on is not None and trained_on != read_card(folder).sha256:
        raise WeightsUnavailable(
            f"{folder / COMPARATOR_FILE} was trained on the features of other weights than those "
            "beside it: train it anew, or take it away"
        )


def _config_of(state: dict[str, Tensor]) -> VisilConfig:
    """The width of the features follows from the attention, which trained weights have."""
    return VisilConfig(dims=state["attention.transform.weight"].shape[0])
