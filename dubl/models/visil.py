"""The learned similarity of two videos: S2VS, with ViSiL and DnS as other settings of it.

Region features [T,R,D] are weighted (or binarized) once per video; then all frames of two videos
are compared, the frame similarity matrix is cleaned by a small network, and its Chamfer
similarity is the answer (ViSiL, Kordopatis-Zilos et al., 2019; DnS, 2022; S2VS, 2023).

State-dict keys equal those of the published checkpoints.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dubl.errors import FeatureSpaceMismatch, WeightsUnavailable
from dubl.models.chamfer import chamfer, frame_similarities
from dubl.models.checkpoints import ModelCard, load_checkpoint, save_checkpoint
from dubl.models.numpy_comparator import COMPARATOR_CARD_FILE, COMPARATOR_FILE, check_features
from dubl.models.visil_config import AttentionKind, Padding, VisilConfig, config_of

logger = logging.getLogger(__name__)

POOLED_FRAMES = 4  # a side, of which two poolings make one


class TrainingOutput(NamedTuple):
    """What the losses need of a batch of N videos."""

    similarities: Tensor  # [N,N] in [0,1]
    raw: Tensor  # [N·N,1,t,t], comparator output before hard-tanh


class Attention(nn.Module):
    """One weight in [0,1] per region; weighted features are not normalized again.

    The weights act as confidences: regions that many videos share shrink in every product.
    """

    def __init__(self, dims: int, *, kind: AttentionKind) -> None:
        super().__init__()
        self.kind = kind
        self.context_vector = nn.Linear(dims, 1, bias=False)
        if kind == "s2vs":
            self.transform = nn.Linear(dims, dims)
            nn.init.xavier_uniform_(self.transform.weight)
            nn.init.zeros_(self.transform.bias)
            nn.init.xavier_uniform_(self.context_vector.weight)
        else:
            nn.init.normal_(self.context_vector.weight)
            with torch.no_grad():
                self.context_vector.weight.div_(self.context_vector.weight.norm())

    def forward(self, regions: Tensor) -> Tensor:
        """Weighted features [...,D] of regions [...,D]."""
        return regions * self.weights(regions)

    def weights(self, regions: Tensor) -> Tensor:
        """Weights [...,1] of regions [...,D]."""
        if self.kind == "s2vs":
            return torch.sigmoid(self.context_vector(torch.tanh(self.transform(regions))))
        projection: Tensor = self.context_vector(regions)
        if self.kind == "norm":
            projection = projection / self.context_vector.weight.norm()
        return projection / 2 + 0.5


class Binarization(nn.Module):
    """Signs of learned projections (DnS, section 3.2); ±1 per bit. Published weights only: the sign
    has no gradient."""

    def __init__(self, dims: int, bits: int) -> None:
        super().__init__()
        self.W = nn.Parameter(torch.empty(dims, bits))
        nn.init.orthogonal_(self.W)

    def forward(self, regions: Tensor) -> Tensor:
        return torch.sign(F.normalize(regions, dim=-1) @ self.W)


class VisilHead(nn.Module):
    """The comparator: a frame similarity matrix in, a cleaned and smaller one out.

    Four convolutions, 1→32→64→128 of 3x3 and 128→1 of 1x1, with 2x2 max-pooling after the first
    two (Kordopatis-Zilos et al., 2019, table 1).
    """

    def __init__(self, *, padding: Padding = "zeros") -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, padding=1, padding_mode=padding)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1, padding_mode=padding)
        self.conv3 = nn.Conv2d(64, 128, 3, padding=1, padding_mode=padding)
        self.fconv = nn.Conv2d(128, 1, 1)
        for name, values in self.named_parameters():
            (nn.init.zeros_ if name.endswith("bias") else nn.init.xavier_uniform_)(values)

    def forward(self, frames: Tensor) -> Tensor:
        """Raw output, before hard-tanh: [N,1,T,U] → [N,1,⌊T/4⌋,⌊U/4⌋]."""
        for convolution in (self.conv1, self.conv2):
            frames = F.max_pool2d(F.relu(convolution(frames)), 2)
        cleaned: Tensor = self.fconv(F.relu(self.conv3(frames)))
        return cleaned


class Visil(nn.Module):
    """Video similarity network.

    Every method takes one video [T,R,D] or a batch [N,T,R,D]; T and R may differ between the sides.
    What `index_video` returns is what the other methods take and what is stored; comparing features
    that were not indexed is an error that no code can notice.
    """

    def __init__(self, config: VisilConfig | None = None) -> None:
        super().__init__()
        self.config = config or VisilConfig()
        if self.config.bits:
            self.binarization = Binarization(self.config.dims, self.config.bits)
        if self.config.attention != "none":
            self.attention = Attention(self.config.dims, kind=self.config.attention)
        self.visil_head = VisilHead(padding=self.config.padding)

    def index_video(self, regions: Tensor) -> Tensor:
        """Weighted or binarized features, in the shape of `regions`."""
        indexed = self._accept(regions, self.config.dims)
        if self.config.bits:
            indexed = self.binarization(indexed)
        if self.config.attention != "none":
            indexed = self.attention(indexed)
        return indexed

    def frame_similarity(self, query: Tensor, reference: Tensor) -> Tensor:
        """Frame similarity matrices [A·B,1,T,U] of A indexed queries and B indexed references; pair
        a·B + b is query a with reference b."""
        width = self.config.bits or self.config.dims
        queries, references = (_batched(self._accept(side, width)) for side in (query, reference))
        flat = frame_similarities(
            queries.flatten(0, 1), references.flatten(0, 1), symmetric=self.config.symmetric
        )
        if self.config.bits:
            flat = flat / self.config.bits
        blocks = flat.view(*queries.shape[:2], *references.shape[:2])
        return blocks.transpose(1, 2).flatten(0, 1).unsqueeze(1)

    def compare(self, frames: Tensor) -> Tensor:
        """Comparator output [N,1,⌊T/4⌋,⌊U/4⌋] of frame similarity matrices, before hard-tanh.

        Two poolings need four frames a side: a shorter side is doubled until it has them.
        """
        for dim in (-2, -1):
            while frames.shape[dim] < POOLED_FRAMES:
                frames = torch.cat([frames, frames], dim)
        output: Tensor = self.visil_head(frames)
        return output

    def video_similarity(self, matrix: Tensor) -> Tensor:
        """Similarity [N] of matrices [N,1,T,U]: mean over query rows of the best column.

        Unless the config is symmetric the order matters: a short query inside a long reference
        scores high, the reverse low.
        """
        return chamfer(matrix, symmetric=self.config.symmetric).squeeze(1)

    def similarity(self, query: Tensor, reference: Tensor) -> Tensor:
        """Similarity [A,B] in [-1,1] of all pairs of indexed videos, query by query."""
        matrix = F.hardtanh(self.compare(self.frame_similarity(query, reference)))
        return self.video_similarity(matrix).view(len(_batched(query)), -1)

    def forward(self, regions: Tensor) -> TrainingOutput:
        """All pairs of a training batch of regions [N,T,R,D]; see TrainingOutput."""
        indexed = self.index_video(regions)
        raw = self.compare(self.frame_similarity(indexed, indexed))
        similarities = self.video_similarity(F.hardtanh(raw) / 2 + 0.5)
        return TrainingOutput(similarities.view(len(regions), -1), raw)

    def _accept(self, regions: Tensor, width: int) -> Tensor:
        """Features as the weights' type, so that stored float16 can be compared."""
        if regions.dim() not in (3, 4) or regions.shape[-1] != width or regions.numel() == 0:
            raise FeatureSpaceMismatch(
                f"region features must be [T,R,{width}] or [N,T,R,{width}], not "
                f"{list(regions.shape)}"
            )
        return regions.to(self.visil_head.fconv.weight.dtype)


def _batched(video: Tensor) -> Tensor:
    return video if video.dim() == 4 else video.unsqueeze(0)


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
