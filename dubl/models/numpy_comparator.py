"""The learned similarity of two videos in plain numpy: the Comparator port of matching.

It is not exported from dubl.models.visil, because every pair has its own size. Measured on 150
pairs with 4 to 130 frames a side, on one thread: numpy takes 13.6 CPU ms a pair. The exported
OpenVINO graph takes 16.2 ms for new sizes, since it compiles for each, and 7.9 ms for sizes it has
seen. It also needs memory for all region products at once; `TILE` bounds it here. The results agree
to 1e-7. Torch would cost the process 500 MB.
"""

from __future__ import annotations

import logging
from itertools import product
from pathlib import Path
from typing import Literal, Self

import numpy as np

from dubl.errors import WeightsUnavailable
from dubl.models.cards import Arrays, ModelCard, read_card, read_weights
from dubl.models.visil_config import VisilConfig, config_of
from dubl.types import Float16Array, Float32Array

COMPARATOR_FILE = "comparator.safetensors"
COMPARATOR_CARD_FILE = "comparator.json"

# Frames a side that are multiplied at once: the products of all their regions fit into a cache.
TILE = 256
_POOLED_FRAMES = 4  # a side, of which two poolings make one
_ATTENTION = "attention.transform.weight"
_CONTEXT = "attention.context_vector.weight"
_PROJECTION = "binarization.W"

logger = logging.getLogger(__name__)


class NumpyComparator:
    """Compares raw region features [T,R,D] of two videos.

    With trained weights (S2VS), attention weighs the regions and the comparator network cleans the
    frame matrix; the similarity is computed from the cleaned matrix. Without them it is the Chamfer
    similarity of the plain matrix (ViSiL, section 3.3: "ViSiL_f"). Alignment always reads the plain
    matrix: the calibration was fitted to its levels.
    """

    def __init__(self, folder: Path) -> None:
        """Reads `comparator.safetensors` of the model's folder, if there is one.

        Raises WeightsUnavailable if it is damaged or was trained with another frame network.
        """
        self._network = _Network.read(folder) if (folder / COMPARATOR_FILE).exists() else None
        if self._network is None:
            logger.info("no %s in %s; plain Chamfer similarity is used", COMPARATOR_FILE, folder)

    def similarity(self, query: Float16Array, reference: Float16Array) -> float:
        """Similarity in [0,1], the larger of both directions: either side may be a part of the
        other. 0 if a side has no frames."""
        if not len(query) or not len(reference):
            return 0.0
        left, right = self._weighted(query), self._weighted(reference)
        return max(self._directed(left, right), self._directed(right, left))

    def similarity_matrix(self, query: Float16Array, reference: Float16Array) -> Float32Array:
        """Frame-to-frame similarity [T,U] in [-1,1], mean of both directions.

        The region Chamfer is asymmetric by definition (mean over query regions): its mean does
        not depend on which side was cropped.
        """
        return _frame_similarities(_single(query), _single(reference), symmetric=True)

    def cleaned_matrix(self, query: Float16Array, reference: Float16Array) -> Float32Array | None:
        """Similarity in [0,1] after the network, [⌊T/4⌋,⌊U/4⌋]; None without a network."""
        if self._network is None or not len(query) or not len(reference):
            return None
        left, right = self._weighted(query), self._weighted(reference)
        frames = _frame_similarities(left, right, symmetric=False)
        return (self._network.cleaned(frames) / 2 + 0.5).astype(np.float32)

    def _weighted(self, regions: Float16Array) -> Float32Array:
        return _single(regions) if self._network is None else self._network.weighted(regions)

    def _directed(self, query: Float32Array, reference: Float32Array) -> float:
        if self._network is None:
            frames = _frame_similarities(query, reference, symmetric=False)
            return min(max(_chamfer(frames), 0.0), 1.0)
        return self._network.similarity(query, reference) / 2 + 0.5


class _Network:
    """S2VS and related networks: attention over regions or their signs, and four convolutions over
    the frame matrix. See dubl.models.visil for the torch form and the references."""

    def __init__(self, state: Arrays, config: VisilConfig) -> None:
        self._state, self._config = state, config

    @classmethod
    def read(cls, folder: Path) -> Self:
        state, card = read_weights(
            folder, weights_file=COMPARATOR_FILE, card_file=COMPARATOR_CARD_FILE
        )
        check_features(card, folder)
        try:
            config = config_of(card)
        except (TypeError, ValueError) as exc:
            raise WeightsUnavailable(
                f"{folder / COMPARATOR_CARD_FILE} does not hold a network's config: {exc}"
            ) from exc
        if _expected(config) != {name: values.shape for name, values in state.items()}:
            raise WeightsUnavailable(
                f"{folder / COMPARATOR_FILE} does not hold the network's weights"
            )
        return cls(state, config)

    def weighted(self, regions: Float16Array) -> Float32Array:
        """Regions [T,R,D] times their attention, or as signs [T,R,bits]: see VisilConfig."""
        values = _single(regions)
        if self._config.bits:
            signs: Float32Array = np.sign(values @ self._state[_PROJECTION])
            return signs
        if self._config.attention == "none":
            return values
        context = self._state[_CONTEXT]
        if self._config.attention == "s2vs":
            hidden = np.tanh(
                values @ self._state[_ATTENTION].T + self._state["attention.transform.bias"]
            )
            weights = 1 / (1 + np.exp(-(hidden @ context.T)))
        else:
            length = np.linalg.norm(context) if self._config.attention == "norm" else 1.0
            weights = values @ context.T / length / 2 + 0.5
        weighted: Float32Array = values * weights
        return weighted

    def similarity(self, query: Float32Array, reference: Float32Array) -> float:
        """Similarity of weighted regions in [-1,1]."""
        config = self._config
        frames = _frame_similarities(query, reference, symmetric=config.symmetric)
        if config.bits:
            frames /= config.bits
        matrix = self.cleaned(frames)
        forward = _chamfer(matrix)
        return (forward + _chamfer(matrix.T)) / 2 if config.symmetric else forward

    def cleaned(self, frames: Float32Array) -> Float32Array:
        """[T,U] → [⌊T/4⌋,⌊U/4⌋] in [-1,1]; shorter sides are doubled until they have four."""
        for axis in (0, 1):
            while frames.shape[axis] < _POOLED_FRAMES:
                frames = np.concatenate([frames, frames], axis=axis)
        maps = _pooled(self._convolved(frames[None], "conv1"))
        maps = _pooled(self._convolved(maps, "conv2"))
        maps = self._convolved(maps, "conv3")
        weight, bias = self._named("fconv")
        cleaned: Float32Array = np.tensordot(weight[0, :, 0, 0], maps, axes=1) + bias[0]
        return cleaned.clip(-1, 1)

    def _convolved(self, maps: Float32Array, name: str) -> Float32Array:
        """3x3 convolution, then ReLU: [C,H,W] → [C',H,W]."""
        weight, bias = self._named(name)
        height, width = maps.shape[1:]
        mode: Literal["constant", "edge"] = (
            "constant" if self._config.padding == "zeros" else "edge"
        )
        padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)), mode=mode)
        total = np.repeat(bias[:, None], height * width, axis=1)
        for row, column in product(range(3), range(3)):
            shifted = padded[:, row : row + height, column : column + width]
            total += weight[:, :, row, column] @ shifted.reshape(len(maps), -1)
        return np.maximum(total, 0).reshape(-1, height, width)

    def _named(self, name: str) -> tuple[Float32Array, Float32Array]:
        return self._state[f"visil_head.{name}.weight"], self._state[f"visil_head.{name}.bias"]


def _pooled(maps: Float32Array) -> Float32Array:
    """2x2 maxima: [C,H,W] → [C,⌊H/2⌋,⌊W/2⌋]."""
    height, width = maps.shape[1] // 2 * 2, maps.shape[2] // 2 * 2
    # Slices against each other: numpy's own maxima over short axes take ten times as long.
    rows = np.maximum(maps[:, 0:height:2, :width], maps[:, 1:height:2, :width])
    return np.maximum(rows[:, :, 0::2], rows[:, :, 1::2])


def _expected(config: VisilConfig) -> dict[str, tuple[int, ...]]:
    """Shapes of the weights by name."""
    shapes: dict[str, tuple[int, ...]] = {
        "visil_head.conv1.weight": (32, 1, 3, 3),
        "visil_head.conv1.bias": (32,),
        "visil_head.conv2.weight": (64, 32, 3, 3),
        "visil_head.conv2.bias": (64,),
        "visil_head.conv3.weight": (128, 64, 3, 3),
        "visil_head.conv3.bias": (128,),
        "visil_head.fconv.weight": (1, 128, 1, 1),
        "visil_head.fconv.bias": (1,),
    }
    if config.bits:
        shapes[_PROJECTION] = (config.dims, config.bits)
    if config.attention != "none":
        shapes[_CONTEXT] = (1, config.dims)
    if config.attention == "s2vs":
        shapes |= {
            _ATTENTION: (config.dims, config.dims),
            "attention.transform.bias": (config.dims,),
        }
    return shapes


def check_features(card: ModelCard, folder: Path) -> None:
    """Raises WeightsUnavailable for a comparator of another network's features."""
    trained_on = card.feature.get("weights_sha256")
    if trained_on is not None and trained_on != read_card(folder).sha256:
        raise WeightsUnavailable(
            f"{folder / COMPARATOR_FILE} was trained on the features of other weights than those "
            "beside it. Train it again, or remove it."
        )


def _single(regions: Float16Array) -> Float32Array:
    return regions.astype(np.float32)


def _frame_similarities(
    query: Float32Array, reference: Float32Array, *, symmetric: bool
) -> Float32Array:
    """[T,U] of regions [T,R,D] and [U,S,D]: mean over query regions of the best reference region;
    `symmetric`: the mean of that and of the other direction."""
    similarities = np.empty((len(query), len(reference)), dtype=np.float32)
    for top, left in product(range(0, len(query), TILE), range(0, len(reference), TILE)):
        rows, columns = slice(top, top + TILE), slice(left, left + TILE)
        similarities[rows, columns] = _tile(query[rows], reference[columns], symmetric)
    return similarities


def _tile(query: Float32Array, reference: Float32Array, symmetric: bool) -> Float32Array:
    # Regions before frames: maxima over regions then run along whole rows of frames.
    regions = reference.shape[1]
    flat = np.ascontiguousarray(reference.transpose(1, 0, 2)).reshape(-1, reference.shape[2])
    forward = np.zeros((len(query), len(reference)), dtype=np.float32)
    backward = np.full((len(query), regions, len(reference)), -np.inf, dtype=np.float32)
    for region in range(query.shape[1]):
        products = (query[:, region] @ flat.T).reshape(backward.shape)
        forward += products.max(axis=1)
        if symmetric:
            np.maximum(backward, products, out=backward)
    forward /= query.shape[1]
    return (forward + backward.mean(axis=1)) / 2 if symmetric else forward


def _chamfer(matrix: Float32Array) -> float:
    return float(matrix.max(axis=1).mean())
