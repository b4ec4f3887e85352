"""Trains the aligner on synthesized matrices, anew for every batch.

A batch follows from the seed and its number alone; a checkpoint holds all that a run needs to go on
as if it had not been interrupted.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dubl.models.aligner import AlignerNet, matrix_channels
from dubl.training.alignment_footage import Scenery
from dubl.training.alignment_matrices import Example, draw_example
from dubl.training.config import AlignerRunSettings
from dubl.training.run_state import checkpoint_errors, share_of_peak, write_checkpoint

RIDGE_WEIGHT = 4.0  # a cell of a copy counts so much more than another one
CROSS_ENTROPY_WEIGHT = 4.0

logger = logging.getLogger(__name__)

OnValidation = Callable[[AlignerNet, int], None]


class MatrixBatch(NamedTuple):
    """Matrices, targets and masks, [N,1,T,U] each; what lies outside the mask is 0."""

    matrices: Tensor
    targets: Tensor
    mask: Tensor


class AlignerLoss(NamedTuple):
    """Cross entropy over all cells, and how little found and true diagonals overlap."""

    cross_entropy: Tensor
    overlap: Tensor


@dataclass(frozen=True, slots=True)
class AlignerLossPoint:
    """Means of the loss terms over the steps since the point before."""

    step: int
    elapsed_s: float
    cross_entropy: float
    overlap: float


def collated(examples: Sequence[Example]) -> MatrixBatch:
    """Pads the examples to the size of the largest."""
    rows = max(example.matrix.shape[0] for example in examples)
    columns = max(example.matrix.shape[1] for example in examples)
    parts = torch.zeros(3, len(examples), 1, rows, columns)
    for place, (matrix, target) in enumerate(examples):
        height, width = matrix.shape
        parts[0, place, 0, :height, :width] = torch.from_numpy(matrix)
        parts[1, place, 0, :height, :width] = torch.from_numpy(target)
        parts[2, place, 0, :height, :width] = 1.0
    return MatrixBatch(*parts)


def aligner_loss(network: AlignerNet, batch: MatrixBatch) -> AlignerLoss:
    """Weighted cross entropy, and 1 - 2Σpt / (Σp² + Σt²) of the matrices that hold a copy."""
    matrices, targets, mask = batch
    logits = network(matrix_channels(matrices, mask))
    each = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    cross_entropy = (each * mask * (1 + RIDGE_WEIGHT * targets)).sum() / mask.sum()
    chances = torch.sigmoid(logits) * mask
    common = (chances * targets).sum(dim=(1, 2, 3))
    extent = (chances.square() + targets.square()).sum(dim=(1, 2, 3))
    copies = (targets.sum(dim=(1, 2, 3)) > 0).float()
    overlap = 1 - (2 * common + 1) / (extent + 1)
    return AlignerLoss(cross_entropy, (overlap * copies).sum() / copies.sum().clamp(min=1))


class AlignerTrainer:
    """One run; `network` is trained in place. Examples take turns in the sceneries."""

    def __init__(
        self, network: AlignerNet, sceneries: Sequence[Scenery], settings: AlignerRunSettings
    ) -> None:
        self.network, self._sceneries, self._settings = network, sceneries, settings
        self.history: list[AlignerLossPoint] = []
        self.step, self.elapsed_s = 0, 0.0
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
            loss = self.train_step(draw_batch(self._sceneries, run, self.step))
            self._recent.append([float(term.detach()) for term in loss])
            self.elapsed_s += time.monotonic() - started
            if self.step % run.log_every == 0:
                self._log()
            if self.step % run.validate_every == 0 or self.progress >= 1:
                on_validation(self.network, self.step)
            if self.step % run.checkpoint_every == 0 or self.progress >= 1:
                self.save(checkpoint)

    def train_step(self, batch: MatrixBatch) -> AlignerLoss:
        """One update by one batch; returns the loss before it."""
        self._set_rate()
        self.network.train()
        loss = aligner_loss(self.network, batch)
        self._optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward([CROSS_ENTROPY_WEIGHT * loss.cross_entropy + loss.overlap])
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
            self.history = [AlignerLossPoint(*values) for values in state["history"]]
        logger.info("resumed at step %d", self.step)

    def _set_rate(self) -> None:
        run = self._settings
        share = share_of_peak(
            self.step, warmup_steps=run.warmup_steps, progress=self.progress, floor=0.05
        )
        for group in self._optimizer.param_groups:
            group["lr"] = run.learning_rate * share

    def _log(self) -> None:
        means = [sum(column) / len(column) for column in zip(*self._recent, strict=True)]
        self._recent.clear()
        point = AlignerLossPoint(self.step, self.elapsed_s, *means)
        self.history.append(point)
        logger.info("step %d  %.0f s  cross entropy %.4f  overlap %.3f", *astuple(point))


def draw_batch(
    sceneries: Sequence[Scenery], settings: AlignerRunSettings, number: int
) -> MatrixBatch:
    """The batch of this number."""
    rng = np.random.default_rng((settings.seed, number))
    examples = [
        draw_example(rng, sceneries[place % len(sceneries)]) for place in range(settings.batch_size)
    ]
    return collated(examples)
