"""Trains attention and comparator on cached features by the losses of S2VS.

A checkpoint holds all that a run needs to go on as if it had not been interrupted.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path

import torch

from dubl.models.visil import Visil
from dubl.training.clip_batches import ClipBatch, ClipBatches
from dubl.training.config import ComparatorRunSettings
from dubl.training.losses import S2vsLoss, S2vsWeights, s2vs_loss
from dubl.training.run_state import checkpoint_errors, share_of_peak, write_checkpoint
from dubl.training.workers import Workers

logger = logging.getLogger(__name__)

OnValidation = Callable[[Visil, int], None]


@dataclass(frozen=True, slots=True)
class ComparatorLossPoint:
    """Means of the loss terms over the steps since the point before."""

    step: int
    elapsed_s: float
    info_nce: float
    hard_negative: float
    self_similarity: float
    regularization: float


class ComparatorTrainer:
    """One run; `network` is trained in place.

    Several workers train one network; each compares the clips of its own batch.
    """

    def __init__(
        self, network: Visil, batches: ClipBatches, settings: ComparatorRunSettings
    ) -> None:
        self.network, self._batches, self._settings = network, batches, settings
        self._workers = Workers.current()
        self._workers.share(network)
        self.history: list[ComparatorLossPoint] = []
        self.step, self.elapsed_s = 0, 0.0
        self._weights = S2vsWeights(temperature=settings.temperature)
        self._optimizer = torch.optim.AdamW(
            network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self._recent: list[list[float]] = []

    @property
    def progress(self) -> float:
        """0 at the start, 1 at the end, by steps or by time, whichever is further."""
        run = self._settings
        return min(max(self.step / run.steps, self.elapsed_s / run.time_limit_s), 1.0)

    def run(self, checkpoint: Path, *, on_validation: OnValidation) -> None:
        """Trains to the end of the run. Each step is measured before its checkpoint is written."""
        run = self._settings
        while self.progress < 1:
            started = time.monotonic()
            self.step += 1
            batch = self._batches.make(self._workers.batch_number(self.step))
            loss = self.train_step(batch)
            self._recent.append([float(term.detach()) for term in loss[1:]])
            self.elapsed_s += time.monotonic() - started
            if self.step % run.log_every == 0:
                self._log()
            if self._workers.leads:
                self._keep(checkpoint, on_validation)
            self.elapsed_s = self._workers.leaders(self.elapsed_s)

    def _keep(self, checkpoint: Path, on_validation: OnValidation) -> None:
        run = self._settings
        if self.step % run.validate_every == 0 or self.progress >= 1:
            on_validation(self.network, self.step)
        if self.step % run.checkpoint_every == 0 or self.progress >= 1:
            self.save(checkpoint)

    def train_step(self, batch: ClipBatch) -> S2vsLoss:
        """One update by one batch; returns the loss before it."""
        self._set_rate()
        self.network.train()
        output = self.network(batch.regions)
        loss = s2vs_loss(output.similarities, batch.labels, output.raw, self._weights)
        self._optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward([loss.total])
        self._workers.average_gradients(self.network.parameters())
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self._settings.gradient_norm)
        self._optimizer.step()
        return loss

    def save(self, path: Path) -> None:
        """Writes a checkpoint."""
        state = {
            "network": self.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "step": self.step,
            "elapsed_s": self.elapsed_s,
            "history": [astuple(point) for point in self.history],
        }
        write_checkpoint(path, state)

    def resume(self, path: Path) -> None:
        """Goes on from a checkpoint. Raises ConfigurationError when it does not fit this run."""
        with checkpoint_errors(path):
            state = torch.load(path, weights_only=True)
            self.network.load_state_dict(state["network"])
            self._optimizer.load_state_dict(state["optimizer"])
            self.step, self.elapsed_s = state["step"], state["elapsed_s"]
            self.history = [ComparatorLossPoint(*values) for values in state["history"]]
        logger.info("resumed at step %d", self.step)

    def _set_rate(self) -> None:
        run = self._settings
        share = share_of_peak(
            self.step, warmup_steps=run.warmup_steps, progress=self.progress, floor=0.1
        )
        for group in self._optimizer.param_groups:
            group["lr"] = run.learning_rate * share

    def _log(self) -> None:
        means = [sum(column) / len(column) for column in zip(*self._recent, strict=True)]
        self._recent.clear()
        point = ComparatorLossPoint(self.step, self.elapsed_s, *means)
        self.history.append(point)
        logger.info(
            "step %d  %.0f s  contrast %.3f  hard %.3f  self %.3f  bounds %.3f", *astuple(point)
        )
