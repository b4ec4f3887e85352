"""Trains the compact network: strong views of the network against weak views of its average.

The keys come from the running average of the weights, as in momentum contrast (He et al., 2020);
the average is also what is validated and shipped. A checkpoint holds all that a run needs to go on
as if it had not been interrupted.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path

import torch
from torch import Tensor

from dubl.models.compact import DESCRIPTOR_DIMS, CompactFeatures, CompactNet, frame_planes
from dubl.training.config import TrainingConfig
from dubl.training.contrastive import CPU, KeyQueue, LossTerms, LossWeights, contrastive_loss
from dubl.training.run_state import checkpoint_errors, share_of_peak, write_checkpoint
from dubl.training.sampling import Batch, BatchMaker
from dubl.training.workers import Workers

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LossPoint:
    """Means of the loss terms over the steps since the point before."""

    step: int
    elapsed_s: float
    contrast: float
    entropy: float
    common: float
    regions: float


OnValidation = Callable[[CompactNet, int], None]


class Trainer:
    """One run. `network` is trained in place; `average` is the network to use.

    Several workers train one network: batches are as many times larger, and their keys fill one
    queue. Maps are channels-last, and bfloat16 on a GPU; on a CPU only where no gradient flows
    (keys and frozen stages), since there its backward pass is slower than float32's. The loss and
    the weights stay float32.
    """

    def __init__(
        self,
        network: CompactNet,
        batches: BatchMaker,
        config: TrainingConfig,
        *,
        device: torch.device = CPU,
    ) -> None:
        self._batches, self._config, self._device = batches, config, device
        self.network = network.to(device).to(memory_format=torch.channels_last)
        self._workers = Workers.current()
        self._workers.share(network)
        self.average = copy.deepcopy(network).requires_grad_(False)
        self.history: list[LossPoint] = []
        self.step, self.elapsed_s, self._measured_s = 0, 0.0, 0.0
        loss = config.loss
        self._weights = LossWeights(
            temperature=loss.temperature,
            entropy=loss.entropy,
            common=loss.common,
            region_temperature=loss.region_temperature,
            regions=loss.regions,
        )
        self._queue = KeyQueue(loss.queue, DESCRIPTOR_DIMS, device=device)
        self._optimizer = self._make_optimizer()
        self._recent: list[tuple[float, ...]] = []

    def run(self, checkpoint: Path, *, on_validation: OnValidation) -> None:
        """Trains to the end of the run.

        A second thread computes the keys of a step, then makes the batch of the next one. A
        checkpoint is written after the step is measured, so that no measurement is left out when
        the run is cut off meanwhile.
        """
        run = self._config.run
        with ThreadPoolExecutor(max_workers=1) as executor:
            upcoming = self._prepare(executor)
            while self.progress < 1:
                started = time.monotonic()
                batch = upcoming.result().to(self._device)
                self.step += 1
                keys = executor.submit(self.make_keys, batch)
                upcoming = self._prepare(executor)
                self._note(self.train_step(batch, keys.result))
                self.elapsed_s += time.monotonic() - started
                if self.step % run.log_every == 0:
                    self._log()
                if self._workers.leads:
                    self._keep(checkpoint, on_validation)
                self.elapsed_s = self._workers.leaders(self.elapsed_s)

    def _keep(self, checkpoint: Path, on_validation: OnValidation) -> None:
        run = self._config.run
        if self.elapsed_s - self._measured_s >= run.validate_every_s or self.progress >= 1:
            started = time.monotonic()
            on_validation(self.average, self.step)
            self._measured_s = self.elapsed_s
            self.elapsed_s += time.monotonic() - started
        if self.step % run.checkpoint_every == 0 or self.progress >= 1:
            self.save(checkpoint)

    @property
    def progress(self) -> float:
        """0 at the start, 1 at the end, by steps or by time, whichever is further."""
        run = self._config.run
        return min(max(self.step / run.steps, self.elapsed_s / run.time_limit_s), 1.0)

    @torch.no_grad()
    def make_keys(self, batch: Batch) -> CompactFeatures:
        """Features of the weak views by the average of the weights."""
        return self.features(self.average, batch.weak)

    def train_step(self, batch: Batch, make_keys: Callable[[], CompactFeatures]) -> LossTerms:
        """One update by one batch; returns the loss before it. Keys are asked for when needed."""
        self._set_rates()
        queries = self.features(self.network, batch.strong)
        keys = make_keys()
        terms = contrastive_loss(
            queries,
            keys,
            self._queue,
            groups=batch.groups,
            guests=batch.guests,
            overlaps=batch.overlaps,
            weights=self._weights,
        )
        self.update(terms.total)
        self._queue.push(
            self._workers.gathered(keys.descriptors), self._workers.gathered(batch.groups)
        )
        return terms

    def update(self, loss: Tensor) -> None:
        """One step of the optimizer down the loss; the average of the weights follows."""
        self._optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward([loss])
        self._workers.average_gradients(self._trained())
        limit = self._config.optimizer.gradient_norm
        torch.nn.utils.clip_grad_norm_(self._trained(), limit)
        self._optimizer.step()
        self._update_average()

    def save(self, path: Path) -> None:
        """Writes a checkpoint."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "queue_keys": self._queue.keys,
            "queue_groups": self._queue.groups,
            "queue_cursor": self._queue.cursor,
            "step": self.step,
            "elapsed_s": self.elapsed_s,
            "history": [astuple(point) for point in self.history],
        }
        write_checkpoint(path, state)

    def resume(self, path: Path) -> None:
        """Goes on from a checkpoint. Raises ConfigurationError when it does not fit this run."""
        with checkpoint_errors(path):
            state = torch.load(path, map_location="cpu", weights_only=True)
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self._optimizer.load_state_dict(state["optimizer"])
            self._queue.keys.copy_(state["queue_keys"])
            self._queue.groups.copy_(state["queue_groups"])
            self._queue.cursor = state["queue_cursor"]
            self.step, self.elapsed_s = state["step"], state["elapsed_s"]
            self._measured_s = self.elapsed_s
            self.history = [_loss_point(*values) for values in state["history"]]
        logger.info("resumed at step %d", self.step)

    @property
    def _on_gpu(self) -> bool:
        return self._device.type == "cuda"

    def features(self, network: CompactNet, views: Tensor) -> CompactFeatures:
        """Float32 features of uint8 views [N,S,S,3]; gradients flow where stages learn."""
        maps, frozen = [frame_planes(views)], self._config.optimizer.frozen_stages
        for number, stage in enumerate(network.stages):
            learns = number >= frozen and network is self.network
            half = self._on_gpu or not learns
            autocast = torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=half)
            with autocast, torch.set_grad_enabled(learns):
                maps.append(stage(maps[-1] if half else maps[-1].float()))
        return network.heads([part.float() for part in maps[1:]])

    def _prepare(self, executor: ThreadPoolExecutor) -> Future[Batch]:
        views = self._config.views
        late = self.progress >= 1 - views.last_size_share
        size = views.last_size if late else views.first_size
        number = self._workers.batch_number(self.step + 1)
        return executor.submit(self._batches.make, number, size=size)

    def _make_optimizer(self) -> torch.optim.AdamW:
        settings = self._config.optimizer
        for index, stage in enumerate(self.network.stages):
            stage.requires_grad_(index >= settings.frozen_stages)
        stages = list(self.network.stages[settings.frozen_stages :].parameters())
        heads = [
            *self.network.descriptor_head.parameters(),
            *self.network.region_head.parameters(),
        ]
        groups = [
            {"params": stages, "peak": settings.backbone_rate, "lr": 0.0},
            {"params": heads, "peak": settings.head_rate, "lr": 0.0},
        ]
        return torch.optim.AdamW(groups, weight_decay=settings.weight_decay)

    def _trained(self) -> list[Tensor]:
        return [value for value in self.network.parameters() if value.requires_grad]

    def _set_rates(self) -> None:
        share = share_of_peak(
            self.step,
            warmup_steps=self._config.optimizer.warmup_steps,
            progress=self.progress,
            floor=0.01,
        )
        for group in self._optimizer.param_groups:
            group["lr"] = group["peak"] * share

    @torch.no_grad()
    def _update_average(self) -> None:
        # The average spans 1 / (1 - decay) steps. One of random weights follows closely at first;
        # one of trained weights must not: keys that move fast leave a queue of stale ones, and the
        # cheapest way to tell it from the positives is a direction that all descriptors share.
        decay = self._config.optimizer.average_decay
        if self._config.weights is None:
            decay = min(decay, (1 + self.step) / (10 + self.step))
        for kept, new in zip(self.average.parameters(), self.network.parameters(), strict=True):
            if new.requires_grad:
                kept.lerp_(new, 1 - decay)

    def _note(self, terms: LossTerms) -> None:
        values = [terms.contrast, terms.entropy, terms.common, terms.regions]
        self._recent.append(tuple(torch.stack(values).tolist()))

    def _log(self) -> None:
        means = [sum(column) / len(column) for column in zip(*self._recent, strict=True)]
        self._recent.clear()
        point = _loss_point(self.step, self.elapsed_s, *means)
        self.history.append(point)
        logger.info(
            "step %d  %.0f s  contrast %.3f  entropy %.3f  common %.3f  regions %.3f",
            *astuple(point),
        )


def _loss_point(
    step: int, elapsed_s: float, contrast: float, entropy: float, common: float, regions: float
) -> LossPoint:
    return LossPoint(
        step=step,
        elapsed_s=elapsed_s,
        contrast=contrast,
        entropy=entropy,
        common=common,
        regions=regions,
    )
