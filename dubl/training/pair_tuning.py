"""Fine-tunes attention and comparator on labeled pairs by binary cross entropy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dubl.models.visil import Visil
from dubl.training.losses import similarity_regularization

PAIRS_PER_STEP = 8
LEARNING_RATE = 5e-4
WEIGHT_DECAY = 0.01
CHANCE_FLOOR = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionPair:
    """Region features [T,R,D] and [U,R,D] of what two videos may share, and the label."""

    query: Tensor
    reference: Tensor
    copy: bool


def tune(network: Visil, pairs: Sequence[RegionPair], *, steps: int, seed: int) -> list[float]:
    """Trains in place on as many copies as others a step; returns the loss of each step."""
    rng = np.random.default_rng(seed)
    kinds = [[pair for pair in pairs if pair.copy is copy] for copy in (True, False)]
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    network.train()
    losses = []
    for _ in range(steps):
        terms = [
            pair_loss(network, kind[int(rng.integers(len(kind)))])
            for kind in kinds
            for _ in range(PAIRS_PER_STEP // 2)
            if kind
        ]
        loss = torch.stack(terms).mean()
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward([loss])
        optimizer.step()
        losses.append(float(loss.detach()))
    network.eval()
    return losses


def pair_loss(network: Visil, pair: RegionPair) -> Tensor:
    """−log of the chance given to the label, plus how far the comparator leaves [-1,1].

    The chance is the similarity in [0,1], the larger of both directions as in matching.
    """
    query, reference = network.index_video(pair.query), network.index_video(pair.reference)
    similarities, excess = [], []
    for one, other in ((query, reference), (reference, query)):
        raw = network.compare(network.frame_similarity(one, other))
        similarities.append(network.video_similarity(F.hardtanh(raw) / 2 + 0.5))
        excess.append(similarity_regularization(raw))
    chance = torch.cat(similarities).max().clamp(CHANCE_FLOOR, 1 - CHANCE_FLOOR)
    return -(chance if pair.copy else 1 - chance).log() + torch.stack(excess).sum()
