"""Several processes that train one network together by torch.distributed.

Each process computes its own batches. Gradients are averaged, so the networks stay equal. Only the
leader measures, exports and writes checkpoints. A single process is its own leader.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """This process among `count` of them."""

    rank: int = 0
    count: int = 1

    @classmethod
    def current(cls) -> Workers:
        """The workers of this process's process group; a single one if there is no group."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return cls()
        return cls(rank=distributed.get_rank(), count=distributed.get_world_size())

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def batch_number(self, step: int) -> int:
        """Number of this worker's batch in a step; it differs between workers."""
        return step * self.count + self.rank

    @contextmanager
    def leader_first(self) -> Iterator[None]:
        """Runs the block on the leader first; then the others find the files it made."""
        if self.count > 1 and not self.leads:
            distributed.barrier()
        yield
        if self.count > 1 and self.leads:
            distributed.barrier()

    def share(self, network: nn.Module) -> None:
        """Copies the leader's weights to all: start weights may differ between machines."""
        if self.count > 1:
            for value in network.state_dict().values():
                distributed.broadcast(value, src=0)

    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replaces each gradient by its mean over all workers; waits for all of them."""
        if self.count == 1:
            return
        gradients = [one.grad for one in parameters if one.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        flat /= self.count
        parts = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, mean in zip(gradients, parts, strict=True):
            gradient.copy_(mean.view_as(gradient))

    def gathered(self, values: Tensor) -> Tensor:
        """Rows [B,...] of all workers, [count · B,...], in order of rank."""
        if self.count == 1:
            return values
        sent = values.contiguous().cpu()  # gloo gathers nothing on a GPU
        parts = [torch.empty_like(sent) for _ in range(self.count)]
        distributed.all_gather(parts, sent)
        return torch.cat(parts).to(values.device)

    def leaders(self, value: float) -> float:
        """The leader's value. Clocks differ, and all must stop after the same step."""
        if self.count == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64)
        distributed.broadcast(shared, src=0)
        return float(shared)
