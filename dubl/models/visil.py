"""The learned similarity of two videos: S2VS, with ViSiL and DnS as other settings of it.

Region features [T,R,D] are weighted (or binarized) once per video; then all frames of two videos
are compared, the frame similarity matrix is cleaned by a small network, and its Chamfer
similarity is the answer (ViSiL, Kordopatis-Zilos et al., 2019; DnS, 2022; S2VS, 2023).

State-dict keys equal those of the published checkpoints.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dubl.errors import FeatureSpaceMismatch
from dubl.models.chamfer import FRAME_TILE, chamfer, frame_similarities
from dubl.models.visil_config import AttentionKind, VisilConfig
from dubl.models.visil_head import POOLED_FRAMES, MaskedMatrix, VisilHead

# Width of the error function that stands for the sign during training (DnS, eq. 5).
BINARIZATION_SIGMA = 1e-6


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
    """Signs of learned projections (DnS, section 3.2); ±1 per bit.

    In training the sign is replaced by erf(z / sqrt(2σ)), which has a gradient.
    """

    def __init__(self, dims: int, bits: int) -> None:
        super().__init__()
        self.W = nn.Parameter(torch.empty(dims, bits))
        nn.init.orthogonal_(self.W)

    def forward(self, regions: Tensor) -> Tensor:
        projections = F.normalize(regions, dim=-1) @ self.W
        if self.training:
            return torch.erf(projections / (2 * BINARIZATION_SIGMA) ** 0.5)
        return torch.sign(projections)


class Visil(nn.Module):
    """Video similarity network.

    Every method takes one video [T,R,D] or a batch [N,T,R,D]; masks, [T] or [N,T], are true or 1
    at real frames. T and R may differ between the sides. What `index_video` returns is what the
    other methods take and what is stored; comparing features that were not indexed is an error
    that no code can notice.
    """

    def __init__(self, config: VisilConfig | None = None) -> None:
        super().__init__()
        self.config = config or VisilConfig()
        if self.config.bits:
            self.binarization = Binarization(self.config.dims, self.config.bits)
        if self.config.attention != "none":
            self.attention = Attention(self.config.dims, kind=self.config.attention)
        self.visil_head = VisilHead(padding=self.config.padding)

    def index_video(self, regions: Tensor, mask: Tensor | None = None) -> Tensor:
        """Weighted or binarized features, in the shape of `regions`; padded frames are 0."""
        indexed = self._accept(regions, self.config.dims)
        if self.config.bits:
            indexed = self.binarization(indexed)
        if self.config.attention != "none":
            indexed = self.attention(indexed)
        return indexed if mask is None else indexed * mask.to(indexed)[..., None, None]

    def frame_similarity(
        self,
        query: Tensor,
        reference: Tensor,
        *,
        query_mask: Tensor | None = None,
        reference_mask: Tensor | None = None,
        pairwise: bool = False,
        tile: int = FRAME_TILE,
    ) -> MaskedMatrix:
        """Frame similarity matrices of indexed videos.

        All pairs of A queries and B references, [A·B,1,T,U] with pair a·B + b, or, `pairwise`,
        each query with the reference of the same number, [A,1,T,U]. Memory: see `tile` in
        dubl.models.chamfer.
        """
        width = self.config.bits or self.config.dims
        queries = _batched(self._accept(query, width), 4)
        references = _batched(self._accept(reference, width), 4)
        mask = _outer_mask(queries, references, query_mask, reference_mask)
        if pairwise and len(queries) != len(references):
            raise ValueError(
                f"{len(queries)} queries cannot pair with {len(references)} references"
            )
        compare = self._matched_pairs if pairwise else self._all_pairs
        values = compare(queries, references, tile)
        if mask is None:
            return MaskedMatrix(values, None)
        mask = mask.diagonal().movedim(-1, 0) if pairwise else mask.flatten(0, 1)
        return MaskedMatrix(values.masked_fill(~mask[:, None], 0.0), mask[:, None])

    def compare(self, frames: MaskedMatrix, *, pooling: bool = True) -> MaskedMatrix:
        """Comparator output of frame similarity matrices, before hard-tanh.

        Two poolings need four frames a side: a shorter side is doubled until it has them.
        """
        output: MaskedMatrix = self.visil_head(
            _doubled(frames) if pooling else frames, pooling=pooling
        )
        return output

    def similarity_matrix(
        self,
        query: Tensor,
        reference: Tensor,
        *,
        query_mask: Tensor | None = None,
        reference_mask: Tensor | None = None,
        pairwise: bool = False,
        pooling: bool = True,
        tile: int = FRAME_TILE,
    ) -> MaskedMatrix:
        """Cleaned similarity matrices in [-1,1]; with `pooling` a cell covers 4x4 frames."""
        frames = self.frame_similarity(
            query,
            reference,
            query_mask=query_mask,
            reference_mask=reference_mask,
            pairwise=pairwise,
            tile=tile,
        )
        raw = self.compare(frames, pooling=pooling)
        return raw._replace(values=F.hardtanh(raw.values))

    def video_similarity(self, matrix: MaskedMatrix) -> Tensor:
        """Similarity [N] of matrices [N,1,T,U]: mean over query rows of the best column.

        Unless the config is symmetric the order matters: a short query inside a long reference
        scores high, the reverse low.
        """
        return chamfer(matrix.values, matrix.mask, symmetric=self.config.symmetric).squeeze(1)

    def similarity(
        self,
        query: Tensor,
        reference: Tensor,
        *,
        query_mask: Tensor | None = None,
        reference_mask: Tensor | None = None,
    ) -> Tensor:
        """Similarity [A,B] in [-1,1] of all pairs of indexed videos, query by query."""
        matrix = self.similarity_matrix(
            query, reference, query_mask=query_mask, reference_mask=reference_mask
        )
        return self.video_similarity(matrix).view(len(_batched(query, 4)), -1)

    def forward(self, regions: Tensor, mask: Tensor | None = None) -> TrainingOutput:
        """All pairs of a training batch of regions [N,T,R,D]; see TrainingOutput."""
        indexed = self.index_video(regions, mask)
        frames = self.frame_similarity(indexed, indexed, query_mask=mask, reference_mask=mask)
        raw = self.compare(frames)
        unit = raw._replace(values=F.hardtanh(raw.values) / 2 + 0.5)
        return TrainingOutput(self.video_similarity(unit).view(len(regions), -1), raw.values)

    def _all_pairs(self, queries: Tensor, references: Tensor, tile: int) -> Tensor:
        flat = self._frames(queries.flatten(0, 1), references.flatten(0, 1), tile)
        blocks = flat.view(*queries.shape[:2], *references.shape[:2])
        return blocks.transpose(1, 2).flatten(0, 1).unsqueeze(1)

    def _matched_pairs(self, queries: Tensor, references: Tensor, tile: int) -> Tensor:
        pairs = zip(queries, references, strict=True)
        return torch.stack([self._frames(one, other, tile) for one, other in pairs]).unsqueeze(1)

    def _frames(self, query: Tensor, reference: Tensor, tile: int) -> Tensor:
        values = frame_similarities(query, reference, symmetric=self.config.symmetric, tile=tile)
        return values / self.config.bits if self.config.bits else values

    def _accept(self, regions: Tensor, width: int) -> Tensor:
        """Features as the weights' type, so that stored float16 can be compared."""
        if regions.dim() not in (3, 4) or regions.shape[-1] != width or regions.numel() == 0:
            raise FeatureSpaceMismatch(
                f"region features must be [T,R,{width}] or [N,T,R,{width}], not "
                f"{list(regions.shape)}"
            )
        return regions.to(self.visil_head.fconv.weight.dtype)


def _batched(tensor: Tensor, dimensions: int) -> Tensor:
    return tensor if tensor.dim() == dimensions else tensor.unsqueeze(0)


def _outer_mask(
    queries: Tensor, references: Tensor, query_mask: Tensor | None, reference_mask: Tensor | None
) -> Tensor | None:
    """bool [A,B,T,U]; a side without a mask is valid throughout."""
    if query_mask is None and reference_mask is None:
        return None
    rows, columns = (
        video.new_ones(video.shape[:2], dtype=torch.bool) if mask is None else _batched(mask, 2) > 0
        for video, mask in ((queries, query_mask), (references, reference_mask))
    )
    return rows[:, None, :, None] & columns[None, :, None, :]


def _doubled(matrix: MaskedMatrix) -> MaskedMatrix:
    values, mask = matrix
    for dim in (-2, -1):
        while values.shape[dim] < POOLED_FRAMES:
            values = torch.cat([values, values], dim)
            mask = None if mask is None else torch.cat([mask, mask], dim)
    return MaskedMatrix(values, mask)
