"""The learned similarity of two videos behind the port that matching uses."""

from __future__ import annotations

import io
import logging
import pickle
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dubl.errors import WeightsUnavailable
from dubl.models.chamfer import chamfer, frame_similarities
from dubl.models.visil import Visil, VisilConfig
from dubl.types import Float16Array, Float32Array

COMPARATOR_FILE = "comparator.pt"

logger = logging.getLogger(__name__)


class TorchComparator:
    """Compares raw region features [T,R,D] of two videos.

    With trained weights (S2VS), its attention weighs the regions and its comparator cleans the
    matrix. Without them, regions count alike and the video similarity is the Chamfer similarity
    of the frame matrix (ViSiL, section 3.3: "ViSiL_f").
    """

    def __init__(self, folder: Path, *, threads: int = 1, device: str = "cpu") -> None:
        """Reads `comparator.pt` of the model's folder, where there is one.

        Raises WeightsUnavailable when that file is damaged or does not fit.
        """
        torch.set_num_threads(threads)
        self._device = torch.device(device)
        network = _load_network(folder / COMPARATOR_FILE)
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
        left, right = self._indexed(query), self._indexed(reference)
        values: Float32Array = frame_similarities(left, right, symmetric=True).cpu().numpy()
        return values

    def _indexed(self, regions: Float16Array) -> Tensor:
        features = torch.from_numpy(np.ascontiguousarray(regions)).to(self._device).float()
        return features if self._network is None else self._network.index_video(features)

    def _directed(self, query: Tensor, reference: Tensor) -> float:
        if self._network is None:
            value = float(chamfer(frame_similarities(query, reference)))
            return min(max(value, 0.0), 1.0)
        return float(self._network.similarity(query, reference).item()) / 2 + 0.5


def _load_network(path: Path) -> Visil | None:
    if not path.exists():
        logger.info("no %s: plain Chamfer similarity", path)
        return None
    try:
        state = torch.load(io.BytesIO(path.read_bytes()), weights_only=True, map_location="cpu")
        network = Visil(_config_of(state))
        network.load_state_dict({name: value.float() for name, value in state.items()})
    except (OSError, RuntimeError, AttributeError, TypeError, KeyError, EOFError) as exc:
        raise WeightsUnavailable(f"{path} does not hold the network's weights") from exc
    except pickle.UnpicklingError as exc:
        raise WeightsUnavailable(f"{path} is not a state dict of tensors") from exc
    return network.eval().requires_grad_(False)


def _config_of(state: dict[str, Tensor]) -> VisilConfig:
    """The width of the features follows from the attention, which trained weights have."""
    return VisilConfig(dims=state["attention.transform.weight"].shape[0])
