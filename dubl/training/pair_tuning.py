"""Fine-tunes attention and comparator on labeled pairs by binary cross entropy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dubl.models.visil import Visil
from dubl.training.comparator_trainer import VisilTrainer
from dubl.training.config import ComparatorRunSettings
from dubl.training.losses import similarity_regularization

PAIRS_PER_STEP = 8
CHANCE_FLOOR = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionPair:
    """Region features [T,R,D] and [U,R,D] of what two videos may share, and the label."""

    query: Tensor
    reference: Tensor
    copy: bool


class PairTrainer(VisilTrainer):
    """Trains on as many copies as others a step, at one rate, without bounds on gradients."""

    def __init__(
        self, network: Visil, pairs: Sequence[RegionPair], *, steps: int, seed: int
    ) -> None:
        settings = ComparatorRunSettings(
            steps=steps, learning_rate=5e-4, warmup_steps=1, gradient_norm=math.inf
        )
        super().__init__(network, settings, least_rate=1.0)
        self._kinds = [[pair for pair in pairs if pair.copy is copy] for copy in (True, False)]
        self._rng = np.random.default_rng(seed)

    def train_next(self) -> Mapping[str, Tensor]:
        self.network.train()
        terms = [
            pair_loss(self.network, kind[int(self._rng.integers(len(kind)))])
            for kind in self._kinds
            for _ in range(PAIRS_PER_STEP // 2)
            if kind
        ]
        loss = torch.stack(terms).mean()
        self.update(loss)
        return {"loss": loss}


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
