"""Which pictures meet in a batch, and the two views made of each.

The batch of a step follows from the seed and the step alone, so a resumed run continues with the
batches that it would have seen.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from dubl.models.compact import GRID
from dubl.training.datasets import Pack
from dubl.training.views import (
    NOBODY,
    TRACE_SIDE,
    Edits,
    StrongRanges,
    draw_strong,
    draw_weak,
    edited,
    trace,
)

CHUNK = 32  # pictures that are edited together: more do not fit a processor's cache
HIDDEN = 0.5  # of a point's color; what is laid over it more thickly shows instead
MIN_SCENE = 4  # pictures of different groups that make a scene worth drawing from


class Batch(NamedTuple):
    """Weak and strong views uint8 [B, S, S, 3] of the same B pictures; groups [B] of the pictures;
    guests [B]: which picture of the batch the strong view shows too, -1 where none; overlaps
    [B·R, B·R]: the share of each region of the strong views that each of the weak views shows."""

    weak: Tensor
    strong: Tensor
    groups: Tensor
    guests: Tensor
    overlaps: Tensor

    def to(self, device: torch.device) -> Batch:
        return Batch(*(part.to(device) for part in self))


class BatchMaker:
    """Draws batches: a share of each in look-alike scenes, the rest from everywhere."""

    def __init__(
        self,
        pack: Pack,
        *,
        batch_size: int,
        seed: int,
        ranges: StrongRanges,
        scene_share: float = 0.4,
        scene_size: int = 8,
    ) -> None:
        self._pack = pack
        self._batch_size, self._seed = batch_size, seed
        self._ranges = ranges
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
        rows, count = self._indices[places], len(places)
        shift = int(rng.integers(1, max(count, 2)))
        others = (torch.arange(count) + shift) % count
        strong_edits = draw_strong(count, self._ranges, generator)
        weak_edits = draw_weak(count, generator)
        strong, hidden = self._edited(rows, rows[others.numpy()], strong_edits, size)
        weak, _ = self._edited(rows, rows, weak_edits, size)
        return Batch(
            weak=weak,
            strong=strong,
            groups=torch.from_numpy(self._groups[places]),
            guests=torch.where(strong_edits.shows_guest, others, NOBODY),
            overlaps=region_overlaps(strong_edits, weak_edits, others, hidden),
        )

    def _edited(
        self, rows: NDArray[np.int64], guests: NDArray[np.int64], edits: Edits, size: int
    ) -> tuple[Tensor, Tensor]:
        parts = []
        for chunk in torch.split(torch.arange(len(rows)), CHUNK):
            encoded = edits.encoded[chunk].numpy()
            own, other = (
                torch.from_numpy(self._pictures(some[chunk.numpy()], encoded))
                for some in (rows, guests)
            )
            parts.append(edited(own, other, edits.take(chunk), self._pack.overlays, size=size))
        frames, hidden = zip(*parts, strict=True)
        return torch.cat(frames), torch.cat(hidden)

    def _pictures(self, rows: NDArray[np.int64], encoded: NDArray[np.bool_]) -> NDArray[np.uint8]:
        pack = self._pack
        sides = [(pack.compressed if flag else pack.pictures) for flag in encoded]
        return np.stack([side[row] for side, row in zip(sides, rows, strict=True)])

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


def region_overlaps(strong: Edits, weak: Edits, guests: Tensor, hidden: Tensor) -> Tensor:
    """[B·R, B·R]: of each region of the strong views, the share that shows what lies in each region
    of the weak views of the same batch.

    `guests` [B] are the pictures that may show besides; `hidden` [B,S,S] tells what is laid over.
    """
    traced, count, regions = trace(strong), len(guests), GRID * GRID
    pixels = ((torch.arange(TRACE_SIDE) + 0.5) / TRACE_SIDE * hidden.shape[1]).long()
    covered = hidden[:, pixels][:, :, pixels] > HIDDEN
    owner = torch.where(
        traced.layer == 0, torch.arange(count)[:, None, None], guests[:, None, None]
    )
    inverse = torch.linalg.inv(weak.front_warp)[owner]
    points = (inverse[..., :2, :2] @ traced.points[..., None])[..., 0] + inverse[..., :2, 2]
    column, row = ((points + 1) / 2 * GRID).floor().long().unbind(dim=-1)
    inside = (column >= 0) & (column < GRID) & (row >= 0) & (row < GRID)
    shown = inside & ~covered & (traced.layer != NOBODY)
    cell = torch.arange(TRACE_SIDE) * GRID // TRACE_SIDE
    asking = torch.arange(count)[:, None, None] * regions + cell[:, None] * GRID + cell
    found = owner * regions + row * GRID + column
    overlaps = torch.zeros(count * regions, count * regions)
    share = torch.tensor((GRID / TRACE_SIDE) ** 2)
    return overlaps.index_put_((asking[shown], found[shown]), share, accumulate=True)
