"""Starts the linear heads as whitened principal components."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dubl.models.compact import CompactNet

# 0 keeps the variances (plain PCA), 1 makes them equal: best on edited copies.
WHITENING = 1.0


@torch.no_grad()
def fit_heads(network: CompactNet, pictures: NDArray[np.uint8], *, batch_size: int = 64) -> None:
    """Fits both heads of `network` in place on uint8 pictures [N, S, S, 3], N ≥ 257."""
    pooled, regions = [], []
    for start in range(0, len(pictures), batch_size):
        batch = torch.from_numpy(np.array(pictures[start : start + batch_size]))
        descriptor_part, region_part = network.pool(network.maps(batch))
        pooled.append(descriptor_part)
        regions.append(region_part.flatten(0, 1))
    fit_projection(network.descriptor_head, torch.cat(pooled))
    fit_projection(network.region_head, torch.cat(regions))


@torch.no_grad()
def fit_projection(head: nn.Linear, samples: Tensor, *, whitening: float = WHITENING) -> None:
    """Sets `head` to x ↦ Λ^(-whitening/2) Vᵀ (x - mean) for samples [N, C].

    V are the eigenvectors with the largest eigenvalues Λ of the covariance. The outputs are
    scaled to unit mean length, which cosine similarity ignores and weight decay does not.
    """
    mean = samples.mean(dim=0)
    centered = (samples - mean).double()
    values, vectors = torch.linalg.eigh(centered.T @ centered / len(samples))
    dims = head.out_features
    values, vectors = values.flip(0)[:dims].clamp(min=1e-9), vectors.flip(1)[:, :dims]
    weight = (vectors * values ** (-whitening / 2)).T
    weight = weight / (centered @ weight.T).norm(dim=1).mean()
    head.weight.copy_(weight)
    head.bias.copy_(-weight.float() @ mean)
