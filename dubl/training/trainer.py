"""Trains the compact network: strong views of the network against weak views of its average.

The keys come from the running average of the weights, as in momentum contrast (He et al., 2020);
the average is also what is validated and shipped.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dubl.models.compact import DESCRIPTOR_DIMS, CompactNet, frame_planes
from dubl.models.torch_network import FrameFeatures
from dubl.training.config import OptimizerSettings, TrainingConfig
from dubl.training.contrastive import CPU, KeyQueue, LossTerms, contrastive_loss
from dubl.training.loop import TrainingLoop
from dubl.training.sampling import Batch, BatchMaker


class Trainer(TrainingLoop[CompactNet]):
    """One run; `average` is the network to use.

    Several workers train one network: batches are as many times larger, and their keys fill one
    queue. Maps are channels-last, and bfloat16 on a GPU; on a CPU only where no gradient flows
    (keys and frozen stages), since there its backward pass is slower than float32's. The loss and
    the weights stay float32. A second thread computes the keys of a step, then makes the batch of
    the next one.
    """

    _executor: ThreadPoolExecutor
    _upcoming: Future[Batch]

    def __init__(
        self,
        network: CompactNet,
        batches: BatchMaker,
        config: TrainingConfig,
        *,
        device: torch.device = CPU,
    ) -> None:
        self._batches, self._config, self._device = batches, config, device
        network = network.to(device).to(memory_format=torch.channels_last)
        super().__init__(
            network,
            _optimizer(network, config.optimizer),
            config.run,
            warmup_steps=config.optimizer.warmup_steps,
            gradient_norm=config.optimizer.gradient_norm,
            least_rate=0.01,
        )
        self.average = copy.deepcopy(network).requires_grad_(False)
        self._queue = KeyQueue(config.loss.queue, DESCRIPTOR_DIMS, device=device)

    @property
    def result(self) -> CompactNet:
        return self.average

    def run(self, checkpoint: Path, *, on_validation: Callable[[CompactNet, int], None]) -> None:
        with ThreadPoolExecutor(max_workers=1) as self._executor:
            self._upcoming = self._prepare()
            super().run(checkpoint, on_validation=on_validation)

    def measurement_is_due(self) -> bool:
        return self.elapsed_s - self.measured_s >= self._config.run.validate_every_s

    def train_next(self) -> Mapping[str, Tensor]:
        batch = self._upcoming.result().to(self._device)
        keys = self._executor.submit(self.make_keys, batch)
        self._upcoming = self._prepare()
        terms = self.train_step(batch, keys.result)._asdict()
        return {name: terms[name] for name in ("contrast", "entropy", "common", "regions")}

    @torch.no_grad()
    def make_keys(self, batch: Batch) -> FrameFeatures:
        """Features of the weak views by the average of the weights."""
        return self.features(self.average, batch.weak)

    def train_step(self, batch: Batch, make_keys: Callable[[], FrameFeatures]) -> LossTerms:
        """One update by one batch; returns the loss before it. Keys are asked for when needed."""
        queries = self.features(self.network, batch.strong)
        keys = make_keys()
        terms = contrastive_loss(
            queries,
            keys,
            self._queue,
            groups=batch.groups,
            guests=batch.guests,
            overlaps=batch.overlaps,
            weights=self._config.loss,
        )
        self.update(terms.total)
        self._queue.push(
            self.workers.gathered(keys.descriptors), self.workers.gathered(batch.groups)
        )
        return terms

    def update(self, loss: Tensor) -> None:
        """One step of the optimizer down the loss; the average of the weights follows."""
        super().update(loss)
        self._update_average()

    def state(self) -> dict[str, object]:
        queue = self._queue
        return {
            **super().state(),
            "average": self.average.state_dict(),
            "queue": (queue.keys, queue.groups, queue.cursor),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
        self.average.load_state_dict(state["average"])
        keys, groups, self._queue.cursor = state["queue"]
        self._queue.keys.copy_(keys)
        self._queue.groups.copy_(groups)

    @property
    def _on_gpu(self) -> bool:
        return self._device.type == "cuda"

    def features(self, network: CompactNet, views: Tensor) -> FrameFeatures:
        """Float32 features of uint8 views [N,S,S,3]; gradients flow where stages learn."""
        maps, frozen = [frame_planes(views)], self._config.optimizer.frozen_stages
        for number, stage in enumerate(network.stages):
            learns = number >= frozen and network is self.network
            half = self._on_gpu or not learns
            autocast = torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=half)
            with autocast, torch.set_grad_enabled(learns):
                maps.append(stage(maps[-1] if half else maps[-1].float()))
        return network.heads([part.float() for part in maps[1:]])

    def _prepare(self) -> Future[Batch]:
        """The batch of the step after this one, which the second thread makes."""
        views = self._config.views
        late = self.progress >= 1 - views.last_size_share
        size = views.last_size if late else views.first_size
        number = self.workers.batch_number(self.step + 1)
        return self._executor.submit(self._batches.make, number, size=size)

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


def _optimizer(network: CompactNet, settings: OptimizerSettings) -> torch.optim.AdamW:
    """Freezes the first stages; the others learn at one rate, the heads at another."""
    for index, stage in enumerate(network.stages):
        stage.requires_grad_(index >= settings.frozen_stages)
    stages = list(network.stages[settings.frozen_stages :].parameters())
    heads = [*network.descriptor_head.parameters(), *network.region_head.parameters()]
    groups = [
        {"params": stages, "peak": settings.backbone_rate, "lr": 0.0},
        {"params": heads, "peak": settings.head_rate, "lr": 0.0},
    ]
    return torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
