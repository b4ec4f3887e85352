"""Which pictures meet in a batch, and the two views made of each.

The batch of a step follows from the seed and the step alone, so a resumed run continues with the
batches that it would have seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from dubl.training.augmentations import StrongRanges, strong_views, weak_views
from dubl.training.datasets import Pack
from dubl.training.overlays import Atlas

MIN_SCENE = 4  # pictures of different groups that make a scene worth drawing from


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Weak and strong views uint8 [B, S, S, 3] of the same B pictures; groups [B] of the pictures;
    guests [B]: which picture of the batch the strong view shows too, -1 where none."""

    weak: Tensor
    strong: Tensor
    groups: Tensor
    guests: Tensor

    def to(self, device: torch.device) -> Batch:
        return Batch(
            weak=self.weak.to(device),
            strong=self.strong.to(device),
            groups=self.groups.to(device),
            guests=self.guests.to(device),
        )


class BatchMaker:
    """Draws batches: a share of each in look-alike scenes, the rest from everywhere."""

    def __init__(
        self,
        pack: Pack,
        *,
        batch_size: int,
        seed: int,
        atlas: Atlas,
        ranges: StrongRanges,
        scene_share: float = 0.4,
        scene_size: int = 8,
    ) -> None:
        self._pack = pack
        self._batch_size, self._seed = batch_size, seed
        self._atlas, self._ranges = atlas, ranges
        self._scene_share, self._scene_size = scene_share, scene_size
        self._indices = pack.select(validation=False)
        names = np.asarray([pack.items[index].group for index in self._indices])
        self._groups = np.unique(names, return_inverse=True)[1].astype(np.int64)
        self._scenes = self._find_scenes()

    def make(self, step: int, *, size: int) -> Batch:
        """The batch of one step with views of size x size pixels."""
        rng = np.random.default_rng((self._seed, step))
        generator = Generator().manual_seed(int(rng.integers(2**62)))
        places = self._draw(rng)
        pictures = np.array(self._pack.pictures[self._indices[places]])
        frames = torch.from_numpy(pictures)
        groups = torch.from_numpy(self._groups[places])
        strong = strong_views(frames, self._ranges, self._atlas, generator, size=size)
        weak = weak_views(frames, generator, size=size)
        return Batch(weak=weak, strong=strong.frames, groups=groups, guests=strong.guests)

    def _find_scenes(self) -> list[NDArray[np.int64]]:
        """Places of the pictures of each scene that has several groups."""
        names = np.asarray([self._pack.items[index].scene for index in self._indices])
        scenes = [np.flatnonzero(names == name) for name in np.unique(names)]
        return [scene for scene in scenes if len(np.unique(self._groups[scene])) >= MIN_SCENE]

    def _draw(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Places of different groups, batch size of them or all there are."""
        drawn: list[NDArray[np.int64]] = []
        if self._scenes:
            for _ in range(int(self._batch_size * self._scene_share) // self._scene_size):
                scene = self._scenes[int(rng.integers(len(self._scenes)))]
                drawn.append(self._distinct(rng.permutation(scene))[: self._scene_size])
        # Twice as many as needed, because pictures of a group that is there already drop out.
        drawn.append(rng.permutation(len(self._indices))[: 4 * self._batch_size])
        return self._distinct(np.concatenate(drawn))[: self._batch_size]

    def _distinct(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """The first of each group, in order."""
        first = np.unique(self._groups[places], return_index=True)[1]
        return places[np.sort(first)]
