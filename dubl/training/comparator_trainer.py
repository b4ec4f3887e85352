"""Trains attention and comparator on cached features by the losses of S2VS (Kordopatis-Zilos et
al., 2023, section 3.3).

The losses take the similarities s [N,N] of a batch with itself, in [0,1], and labels Y [N,N]: 1
where two clips share content (the diagonal included), else 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dubl.models.visil import Visil
from dubl.training.clips import NO_GUEST, FeaturePack
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


Rows = NDArray[np.int64]
MIN_SCENE = 3  # clips that make a scene worth drawing from
SCENE_CLIPS = 4
CHUNK_FRAMES = (3, 8)
# Probabilities of the changes in time; one is drawn for each edited version.
CHANGES = {
    "none": 0.3,
    "shuffle": 0.15,
    "fast": 0.15,
    "slow": 0.15,
    "pause": 0.1,
    "stranger": 0.15,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipBatch:
    """Region features [2N,T,R,D] of N originals and their N edited versions; labels [2N,2N] are 1
    where two share content."""

    regions: Tensor
    labels: Tensor


class ClipBatches:
    """Draws batches: a share of the clips in look-alike scenes, the rest from everywhere."""

    def __init__(self, pack: FeaturePack, settings: ComparatorRunSettings) -> None:
        self._pack, self._settings = pack, settings
        self._numbers = pack.select(validation=False)
        names = np.array([pack.items[number].scene for number in self._numbers])
        scenes = [self._numbers[names == name] for name in np.unique(names)]
        self._scenes = [scene for scene in scenes if len(scene) >= MIN_SCENE]

    def make(self, step: int) -> ClipBatch:
        rng = np.random.default_rng((self._settings.seed, step))
        frames = int(rng.choice(self._settings.frames))
        numbers = self._draw(rng)
        originals, edited = [], []
        shown = np.zeros((2, len(numbers), len(self._pack.items)), dtype=np.float32)
        for place, number in enumerate(numbers):
            original, version, seen = self._pair(int(number), frames, rng)
            originals.append(original)
            edited.append(version)
            shown[0, place, number] = 1.0
            shown[1, place, seen] = 1.0
        content = torch.from_numpy(shown.reshape(-1, shown.shape[2]))
        regions = torch.from_numpy(np.stack([*originals, *edited])).float()
        return ClipBatch(regions=regions, labels=(content @ content.T > 0).float())

    def _draw(self, rng: np.random.Generator) -> Rows:
        drawn: list[Rows] = []
        clips = self._settings.clips
        if self._scenes:
            for _ in range(int(clips * self._settings.scene_share) // SCENE_CLIPS):
                scene = self._scenes[int(rng.integers(len(self._scenes)))]
                drawn.append(rng.permutation(scene)[:SCENE_CLIPS])
        drawn.append(rng.permutation(self._numbers))
        order = np.concatenate(drawn)
        first = np.unique(order, return_index=True)[1]
        return order[np.sort(first)][:clips]

    def _pair(
        self, number: int, frames: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.float16], NDArray[np.float16], list[int]]:
        """Original and edited version [T,R,D], and the numbers of the clips that the latter shows.

        Both begin within half a window of each other, so that they always overlap; either may be
        sampled at half the rate, as references are in the library.
        """
        features = self._pack.features[number]
        length, version = features.regions.shape[1], int(rng.integers(1, len(features.regions)))
        start = int(rng.integers(0, max(length - frames, 0) + 1))
        shift = int(rng.integers(-frames // 2, frames // 2 + 1))
        change = str(rng.choice(list(CHANGES), p=list(CHANGES.values())))
        ours = window(np.arange(length)[:: int(rng.integers(1, 3))], start, frames)
        rows = changed_rows(np.arange(length)[:: int(rng.integers(1, 3))], change, rng)
        theirs = window(rows, start + shift, frames)
        edited = features.regions[version][theirs]
        seen = [number]
        if features.guests[version] != NO_GUEST:
            seen.append(int(features.guests[version]))
        if change == "stranger":
            stranger = int(rng.choice(self._numbers))
            edited = _interrupted(edited, self._pack.features[stranger].regions, rng)
            seen.append(stranger)
        return features.regions[0][ours], edited, seen


def window(rows: Rows, start: int, count: int) -> Rows:
    """`count` rows from `start` on, moved inside; rows that are too few are repeated in order."""
    if len(rows) < count:
        return np.resize(rows, count)
    start = min(max(start, 0), len(rows) - count)
    return rows[start : start + count]


def changed_rows(rows: Rows, change: str, rng: np.random.Generator) -> Rows:
    """Rows after a change in time; what happens to rows alone."""
    if change == "shuffle":
        return _shuffled(rows, rng)
    if change == "fast":
        return rows[:: int(rng.integers(2, 4))]
    if change == "slow":
        return np.repeat(rows, 2)
    if change == "pause":
        place = int(rng.integers(len(rows)))
        return np.insert(rows, place, np.full(int(rng.integers(1, 8)), rows[place]))
    return rows


def _shuffled(rows: Rows, rng: np.random.Generator) -> Rows:
    """Chunks in another order, some left out (at least one stays)."""
    chunks = []
    while len(rows):
        count = int(rng.integers(*CHUNK_FRAMES))
        chunks.append(rows[:count])
        rows = rows[count:]
    order = rng.permutation(len(chunks))
    kept = [chunks[place] for place in order if rng.random() < 0.8] or [chunks[0]]
    return np.concatenate(kept)


def _interrupted(
    edited: NDArray[np.float16], stranger: NDArray[np.float16], rng: np.random.Generator
) -> NDArray[np.float16]:
    """A third to a half of the frames at one end give way to those of a stranger [V,T,R,D]."""
    count = int(len(edited) * rng.uniform(0.3, 0.5))
    other = stranger[int(rng.integers(len(stranger)))]
    other = other[window(np.arange(len(other)), int(rng.integers(len(other))), count)]
    kept = len(edited) - count
    if rng.random() < 0.5:
        return np.concatenate([other, edited[:kept]])
    return np.concatenate([edited[count:], other])
