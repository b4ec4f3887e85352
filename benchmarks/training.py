"""Training of the descriptor, stage by stage, beside a bare loop over the same network.

    python -m benchmarks.training

The bare loop does what cannot be saved: keys, forward and backward pass and an update on one batch
that lies ready, with no edits and a loss that costs nothing. All is CPU time of one thread, so that
other work on the machine counts little; a view is one edited picture, two of which make a pair.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.results import Figure, at_least, plain, run
from dubl.models.torch_network import FrameFeatures
from dubl.training.config import DataSettings, TrainingConfig
from dubl.training.datasets import build_pack
from dubl.training.heads import untrained_network
from dubl.training.sampling import Batch, BatchMaker
from dubl.training.trainer import Trainer
from dubl.training.views import StrongRanges

PICTURES = 256
SIZE = 160
REPEATS = 6
VIEWS_AN_HOUR = 300_000
SHARE_OF_BARE = 0.85
LEARNING = "forward, loss, backward, update"


def measure() -> list[Figure]:
    torch.set_num_threads(1)
    config = TrainingConfig()
    with tempfile.TemporaryDirectory() as folder:
        pack = build_pack(DataSettings(procedural=PICTURES, size=176), Path(folder))
        batches = BatchMaker(
            pack, batch_size=config.run.batch_size, seed=0, ranges=StrongRanges(), scene_share=0
        )
        trainer = Trainer(untrained_network(pack.pictures[:16], seed=0), batches, config)
        return _figures(trainer, batches, pairs=config.run.batch_size)


def _figures(trainer: Trainer, batches: BatchMaker, *, pairs: int) -> list[Figure]:
    batch = batches.make(0, size=SIZE)
    trainer.step = 1
    keys = trainer.make_keys(batch)
    stages = {
        "views": lambda: batches.make(0, size=SIZE),
        "keys": lambda: trainer.make_keys(batch),
        LEARNING: lambda: trainer.train_step(batch, lambda: keys),
    }
    seconds = {name: _cpu_s(work) for name, work in stages.items()}
    bare, whole = _cpu_s(lambda: _bare_step(trainer, batch)), sum(seconds.values())
    setup = f"{SIZE} px, batches of {pairs} pairs, one thread, CPU time"
    figures = [
        plain(f"{name}: a pair", 1000 * value / pairs, unit="ms", setup=setup)
        for name, value in seconds.items()
    ]
    learning = seconds[LEARNING]
    slower = max(learning, whole - learning)
    two = f"{setup}; the slower of the trainer's two threads: one learns, one makes views and keys"
    return [
        *figures,
        plain("views an hour, one thread", 3600 * 2 * pairs / whole, unit="1/h", setup=setup),
        at_least("views an hour", 3600 * 2 * pairs / slower, VIEWS_AN_HOUR, unit="1/h", setup=two),
        at_least("share of a bare loop", bare / whole, SHARE_OF_BARE, unit="", setup=setup),
    ]


def _bare_step(trainer: Trainer, batch: Batch) -> None:
    trainer.make_keys(batch)
    features: FrameFeatures = trainer.features(trainer.network, batch.strong)
    trainer.update(features.descriptors.sum() + features.region_features.sum())


def _cpu_s(work: Callable[[], object]) -> float:
    """The least CPU time of some repeats, after one to warm up."""
    work()
    times = []
    for _ in range(REPEATS):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


if __name__ == "__main__":
    run("training", measure)
