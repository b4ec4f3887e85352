"""Chamfer similarity: how well each row of a matrix is met by its best column.

CS(S) = mean over rows i of max over columns j of S[i,j] (ViSiL, Kordopatis-Zilos et al., 2019,
eq. 3); the symmetric form is the mean of CS(S) and CS(S transposed) (eq. 4). It is used twice:
over the regions of two frames, and over the frames of two videos.
"""

from __future__ import annotations

import torch
from torch import Tensor

FRAME_TILE = 256


def chamfer(values: Tensor, *, symmetric: bool = False) -> Tensor:
    """Similarity [...] of matrices [..., rows, columns]."""
    forward = values.max(dim=-1).values.mean(dim=-1)
    return (forward + chamfer(values.mT)) / 2 if symmetric else forward


def frame_similarities(
    query: Tensor, reference: Tensor, *, symmetric: bool = False, tile: int = FRAME_TILE
) -> Tensor:
    """Similarity [T,U] of frames with regions query [T,R,D] and reference [U,S,D].

    F[i,j] = mean over query regions of the max over reference regions of their dot products.
    At most `tile` x `tile` frames are multiplied at once, so that the memory for the
    [T,R,U,S] products is 4 * tile² * R * S bytes, however long the videos are.
    """
    columns = torch.split(reference, tile)
    rows = [
        torch.cat([_region_chamfer(part, other, symmetric=symmetric) for other in columns], dim=1)
        for part in torch.split(query, tile)
    ]
    return torch.cat(rows)


def _region_chamfer(query: Tensor, reference: Tensor, *, symmetric: bool) -> Tensor:
    products = query.flatten(0, 1) @ reference.flatten(0, 1).T
    blocks = products.view(*query.shape[:2], *reference.shape[:2])
    return chamfer(blocks.transpose(1, 2), symmetric=symmetric)
