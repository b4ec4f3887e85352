"""Trains attention and comparator on cached features by the losses of S2VS (Kordopatis-Zilos et
al., 2023, section 3.3).

The losses take the similarities s [N,N] of a batch with itself, in [0,1], and labels Y [N,N]: 1
where two clips share content (the diagonal included), else 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from dubl.models.visil import Visil
from dubl.training.clip_batches import ClipBatch, ClipBatches
from dubl.training.config import ComparatorRunSettings
from dubl.training.loop import TrainingLoop

PARTITION_EPSILON = 1e-6
LOGARITHM_FLOOR = 1e-3
SELF_AND_HARD_NEGATIVE = 3.0  # weight of these terms beside InfoNCE, as published


class S2vsLoss(NamedTuple):
    """The sum to minimize, and its terms before weighting."""

    total: Tensor
    info_nce: Tensor
    hard_negative: Tensor
    self_similarity: Tensor
    regularization: Tensor


def s2vs_loss(
    similarities: Tensor, labels: Tensor, raw: Tensor, *, temperature: float = 0.03
) -> S2vsLoss:
    """InfoNCE + 3·(hard negative + self-similarity) + 1·regularization of `raw`.

    `raw` is the comparator's output before hard-tanh, any shape.
    """
    nce = info_nce(similarities, labels, temperature=temperature)
    hard = hard_negative_loss(similarities, labels)
    own = self_similarity_loss(similarities)
    regularization = similarity_regularization(raw)
    total = nce + SELF_AND_HARD_NEGATIVE * (hard + own) + regularization
    return S2vsLoss(total, nce, hard, own, regularization)


def info_nce(similarities: Tensor, labels: Tensor, *, temperature: float) -> Tensor:
    """InfoNCE (eq. 1 and 2) over each row's positives other than itself.

    With e = exp(s / τ): −log(e_ij / (e_ij + Σ_{k: Y_ik=0} e_ik + 1e-6)), averaged over the
    positives j of row i, then over the rows that have any. Computed from logarithms:
    logaddexp(s_ij / τ, log(Σ + 1e-6)) − s_ij / τ, which does not overflow at small τ.
    """
    logits = similarities / temperature
    negatives = torch.where(labels == 0, logits, -torch.inf).logsumexp(dim=1, keepdim=True)
    epsilon = torch.full_like(negatives, PARTITION_EPSILON).log()
    losses = torch.logaddexp(logits, torch.logaddexp(negatives, epsilon)) - logits
    positives = (labels != 0) & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    counts = positives.sum(dim=1)
    rows = torch.where(positives, losses, 0.0).sum(dim=1) / counts.clamp(min=1)
    return rows.sum() / (counts > 0).sum().clamp(min=1)


def hard_negative_loss(similarities: Tensor, labels: Tensor) -> Tensor:
    """Mean over rows of −log(max(1 − s of the hardest negative, 1e-3)) (eq. 3).

    A row without negatives has nothing to push away and adds 0.
    """
    hardest = torch.where(labels == 0, similarities, -torch.inf).max(dim=1).values
    hardest = torch.where((labels == 0).any(dim=1), hardest, 0.0)
    return -(1 - hardest).clamp(min=LOGARITHM_FLOOR).log().mean()


def self_similarity_loss(similarities: Tensor) -> Tensor:
    """Mean over rows of −log(max(s_ii, 1e-3)) (eq. 3): a video equals itself."""
    return -similarities.diagonal().clamp(min=LOGARITHM_FLOOR).log().mean()


def similarity_regularization(raw: Tensor) -> Tensor:
    """How far the comparator's output leaves [-1,1]: Σ max(x − 1, 0) + Σ max(−1 − x, 0).

    Beyond these bounds hard-tanh has no gradient (ViSiL, eq. 6).
    """
    return (raw - 1).clamp(min=0).sum() + (-1 - raw).clamp(min=0).sum()


class VisilTrainer(TrainingLoop[Visil]):
    """One run over a comparator; a subclass computes the steps."""

    def __init__(
        self, network: Visil, settings: ComparatorRunSettings, *, least_rate: float = 0.1
    ) -> None:
        self._settings = settings
        group = {"params": list(network.parameters()), "peak": settings.learning_rate}
        super().__init__(
            network,
            torch.optim.AdamW([group], weight_decay=settings.weight_decay),
            settings,
            warmup_steps=settings.warmup_steps,
            gradient_norm=settings.gradient_norm,
            least_rate=least_rate,
        )

    @property
    def result(self) -> Visil:
        return self.network

    def measurement_is_due(self) -> bool:
        return self.step % self._settings.validate_every == 0


class ComparatorTrainer(VisilTrainer):
    """Trains on clips without labels; each worker compares the clips of its own batch."""

    def __init__(
        self, network: Visil, batches: ClipBatches, settings: ComparatorRunSettings
    ) -> None:
        super().__init__(network, settings)
        self._batches = batches

    def train_next(self) -> Mapping[str, Tensor]:
        loss = self.train_step(self._batches.make(self.workers.batch_number(self.step)))
        return {
            "contrast": loss.info_nce,
            "hard negative": loss.hard_negative,
            "self": loss.self_similarity,
            "bounds": loss.regularization,
        }

    def train_step(self, batch: ClipBatch) -> S2vsLoss:
        """One update by one batch; returns the loss before it."""
        self.network.train()
        output = self.network(batch.regions)
        loss = s2vs_loss(
            output.similarities, batch.labels, output.raw, temperature=self._settings.temperature
        )
        self.update(loss.total)
        return loss
