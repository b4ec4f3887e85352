"""Trains attention and comparator on cached features by the losses of S2VS."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from dubl.models.visil import Visil
from dubl.training.clip_batches import ClipBatch, ClipBatches
from dubl.training.config import ComparatorRunSettings
from dubl.training.loop import TrainingLoop
from dubl.training.losses import S2vsLoss, s2vs_loss


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
