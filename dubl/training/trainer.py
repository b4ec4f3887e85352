"""Trains the compact network: strong views of the network against weak views of its average.

The keys come from the running average of the weights, as in momentum contrast (He et al., 2020);
the average is also what is validated and shipped. The loss is self-supervised: an edited picture
must find its original among many others. It is InfoNCE (van den Oord et al., 2018, eq. 4) against
the batch and a queue of keys (He et al., 2020, section 3.1), plus the differential entropy term of
SSCD (Pizzi et al., 2022, eq. 3), which spreads descriptors so that one threshold serves all
pictures. Region features are contrasted by what their regions show: the edits are known, so it is
known which overlap, and how much (CopyNCE, Lu et al., 2025, section 3.3).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from dubl.models.compact import DESCRIPTOR_DIMS, CompactNet, frame_planes
from dubl.models.torch_network import FrameFeatures
from dubl.training.config import LossSettings, OptimizerSettings, TrainingConfig
from dubl.training.loop import TrainingLoop
from dubl.training.sampling import Batch, BatchMaker
from dubl.training.views import NOBODY

MIN_OVERLAP = 0.25  # share of a region that must show in the other view
CPU = torch.device("cpu")


class LossTerms(NamedTuple):
    """The sum to minimize and its parts, each a scalar tensor."""

    total: Tensor
    contrast: Tensor
    entropy: Tensor
    common: Tensor
    regions: Tensor


class KeyQueue:
    """The newest keys [K, D] and their groups [K]; group -1 marks a place not yet filled."""

    def __init__(self, size: int, dims: int, *, device: torch.device = CPU) -> None:
        self.keys = torch.zeros(size, dims, device=device)
        self.groups = torch.full((size,), NOBODY, device=device)
        self.cursor = 0

    def push(self, keys: Tensor, groups: Tensor) -> None:
        """Adds keys [B, D] in place of the oldest."""
        places = (self.cursor + torch.arange(len(keys), device=keys.device)) % len(self.keys)
        self.keys[places] = keys.detach()
        self.groups[places] = groups
        self.cursor = int((self.cursor + len(keys)) % len(self.keys))

    def filled(self) -> tuple[Tensor, Tensor]:
        """Keys [F, D] and groups [F] of the places that hold something."""
        there = self.groups != NOBODY
        return self.keys[there], self.groups[there]


def forbidden_pairs(groups: Tensor, guest_groups: Tensor, key_groups: Tensor) -> Tensor:
    """Bool [B, K]: keys that may rightly look like the query and so are no negatives.

    They come from the group of the query itself or of the guest that its view shows too.
    """
    own = groups[:, None] == key_groups[None]
    return own | (guest_groups[:, None] == key_groups[None])


def info_nce(
    similarities: Tensor, forbidden: Tensor, targets: Tensor, *, temperature: float
) -> Tensor:
    """Sum of -log softmax at the targets: similarities [B, K], targets [B] below K.

    `forbidden` [B, K] leaves pairs out; a target counts even where it is forbidden.
    """
    masked = forbidden.scatter(1, targets[:, None], False)
    logits = (similarities / temperature).masked_fill(masked, float("-inf"))
    return F.cross_entropy(logits, targets, reduction="sum")


def find_both(
    similarities: Tensor, forbidden: Tensor, guests: Tensor, *, temperature: float
) -> Tensor:
    """InfoNCE for query n and key n and, where the view shows a guest too, for the guest's key.

    `guests` [B]: index of the guest's key or -1. The two finds do not compete: each leaves the
    other's key out. Divided by the number of queries.
    """
    own = torch.arange(len(similarities), device=similarities.device)
    rows = (guests != NOBODY).nonzero().flatten()
    total = info_nce(similarities, forbidden, own, temperature=temperature)
    if len(rows):
        total = total + info_nce(
            similarities[rows], forbidden[rows], guests[rows], temperature=temperature
        )
    return total / len(similarities)


def entropy_term(similarities: Tensor, forbidden: Tensor) -> Tensor:
    """-mean log distance to the nearest negative (Kozachenko-Leonenko), for unit vectors."""
    nearest = similarities.masked_fill(forbidden, -1.0).amax(dim=1)
    return -0.5 * torch.log((2 - 2 * nearest).clamp(min=1e-4)).mean()


def common_term(descriptors: Tensor) -> Tensor:
    """Squared length of the mean of unit vectors [B, D]: what all pictures share.

    InfoNCE does not see a direction common to all descriptors, and without this term it grows
    until nothing else is left to tell pictures apart.
    """
    return descriptors.mean(dim=0).square().sum()


def contrastive_loss(
    queries: FrameFeatures,
    keys: FrameFeatures,
    queue: KeyQueue,
    *,
    groups: Tensor,
    guests: Tensor,
    overlaps: Tensor,
    weights: LossSettings,
) -> LossTerms:
    """Loss of strong views against the weak views of the same B pictures, in the same order.

    `groups` [B] of the pictures; `guests` [B]: which picture of the batch the strong view shows
    besides its own, or -1; `overlaps` [B·R, B·R]: which share of a region of the strong views
    shows what a region of the weak views shows.
    """
    guest_groups = torch.where(guests == NOBODY, NOBODY, groups[guests])
    old_keys, old_groups = queue.filled()
    similarities = queries.descriptors @ torch.cat([keys.descriptors, old_keys]).T
    forbidden = forbidden_pairs(groups, guest_groups, torch.cat([groups, old_groups]))
    contrast = find_both(similarities, forbidden, guests, temperature=weights.temperature)
    entropy = entropy_term(similarities, forbidden)
    regions = traced_contrast(
        queries.region_features,
        keys.region_features,
        overlaps,
        forbidden[:, : len(groups)],
        temperature=weights.region_temperature,
    )
    common = common_term(queries.descriptors) + common_term(queries.region_features.flatten(0, 1))
    total = contrast + weights.entropy * entropy
    total = total + weights.common * common + weights.regions * regions
    return LossTerms(total, contrast, entropy, common, regions)


def traced_contrast(
    queries: Tensor, keys: Tensor, overlaps: Tensor, forbidden: Tensor, *, temperature: float
) -> Tensor:
    """Cross-entropy of regions [B,R,D] against all key regions of the batch, targets by overlap.

    A region of which less than MIN_OVERLAP shows anywhere asks for nothing. Regions of pictures
    that may look alike (`forbidden` [B,B]) count as negatives no more than they overlap.
    """
    asking = (overlaps.sum(dim=1) >= MIN_OVERLAP).nonzero().flatten()
    if not len(asking):
        return queries.sum() * 0
    targets = overlaps[asking] / overlaps[asking].sum(dim=1, keepdim=True)
    count = queries.shape[1]
    alike = forbidden.repeat_interleave(count, dim=0).repeat_interleave(count, dim=1)[asking]
    logits = queries.flatten(0, 1)[asking] @ keys.flatten(0, 1).T / temperature
    logits = logits.masked_fill(alike & (targets == 0), float("-inf"))
    finite = torch.where(targets > 0, logits, 0.0)
    return (logits.logsumexp(dim=1) - (targets * finite).sum(dim=1)).mean()


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
