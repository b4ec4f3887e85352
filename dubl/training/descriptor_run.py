"""A whole training run of the descriptor network in one folder.

The folder gets `pack/` (the pictures), `last.pt` (to resume), `validation.json`, `loss.png` and
`export/` (weights and card of the best average so far).
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dubl.models.checkpoints import ModelCard, load_checkpoint
from dubl.models.compact import CompactNet, load_compact, save_compact
from dubl.models.devices import wants_gpu
from dubl.training.config import DataSettings, TrainingConfig
from dubl.training.datasets import ITEMS, Pack, build_pack, credited
from dubl.training.heads import fit_heads, untrained_network, whiten_heads
from dubl.training.loop import RunFolder
from dubl.training.sampling import BatchMaker
from dubl.training.trainer import Trainer
from dubl.training.validation import extract, make_yardstick, measure
from dubl.training.views import StrongRanges
from dubl.training.workers import Workers

logger = logging.getLogger(__name__)

Metrics = dict[str, dict[str, float]]

HEAD_PICTURES = 3000  # enough to estimate 1408 x 1408 covariances
WHITENING_PICTURES = 1200  # enough for 256 x 256


class DescriptorRun:
    """Prepares data and network, trains, keeps the best average, exports it."""

    def __init__(self, config: TrainingConfig, folder: Path) -> None:
        torch.set_num_threads(config.run.threads)
        self._config, self._folder = config, folder
        self._workers = Workers.current()
        with self._workers.leader_first():
            self._pack = open_pack(config.data, folder / "pack", seed=config.run.seed)
        self._yardstick = make_yardstick(self._pack)
        device = torch.device("cuda" if wants_gpu(config.run.device) else "cpu")
        self._trainer = Trainer(self._start(), self._batches(), config, device=device)
        self._run: RunFolder[Metrics] = RunFolder(folder, _score)

    def run(self, *, resume: bool) -> Path:
        """Trains to the end; returns the folder with weights and card."""
        return self._run.train(
            self._trainer,
            resume=resume,
            validate=self._validate,
            start=lambda: self._validate(self._trainer.average, 0),
        )

    def _start(self) -> CompactNet:
        config = self._config
        if config.weights is not None:
            return load_compact(config.weights).requires_grad_(True)
        pictures = self._head_pictures(limit=HEAD_PICTURES)
        network = untrained_network(pictures[:: len(pictures) // 32 + 1], seed=config.run.seed)
        fit_heads(network, pictures)
        return network

    def _start_credits(self) -> tuple[Mapping[str, str | int], ...]:
        """What the starting weights owe to whom."""
        weights = self._config.weights
        return () if weights is None else load_checkpoint(weights).card.training_data

    def _head_pictures(self, *, limit: int) -> NDArray[np.uint8]:
        """Training pictures drawn at random, uint8 [N, S, S, 3]."""
        rng = np.random.default_rng(self._config.run.seed)
        chosen = rng.permutation(self._pack.select(validation=False))[:limit]
        return np.array(self._pack.pictures[np.sort(chosen)])

    def _batches(self) -> BatchMaker:
        run = self._config.run
        return BatchMaker(
            self._pack,
            batch_size=run.batch_size,
            seed=run.seed,
            ranges=StrongRanges(strength=self._config.views.strength),
            scene_share=run.scene_share,
        )

    def _validate(self, network: CompactNet, step: int) -> None:
        """Measures, draws the loss curve and exports when nothing before was better.

        What is measured and exported is a copy with its heads whitened.
        """
        if step > 0:
            network = copy.deepcopy(network)
            whiten_heads(network, self._head_pictures(limit=WHITENING_PICTURES))
        quality = measure(partial(extract, network), self._yardstick)
        metrics: Metrics = {name: asdict(value) for name, value in quality.items()}
        logger.info("step %d: %s", step, metrics["all"] | {"regions": metrics["regions"]})
        if self._run.is_best(str(step), metrics):
            save_compact(self._folder / "export", network, self._card(step, metrics))
        losses = self._trainer.curves("contrast", "entropy", "regions")
        self._run.note(str(step), metrics, losses)

    def _card(self, step: int, metrics: Metrics) -> ModelCard:
        run = self._config.run
        chosen = self._pack.select(validation=False)
        summary = credited((self._pack.items[index] for index in chosen), "pictures")
        return ModelCard(
            name="dubl-compact",
            version=f"step-{step}",
            training_data=_distinct([*self._start_credits(), *summary]),
            metrics={"start": self._run.results.get("0", metrics), "trained": metrics},
            notes=(
                f"{step} steps of {run.batch_size} pairs of views "
                f"({step * run.batch_size / len(chosen):.1f} epochs of {len(chosen)} pictures). "
                "Metrics: edited frames of clips from sources held out of training."
            ),
        )


def _distinct(entries: Sequence[Mapping[str, str | int]]) -> tuple[Mapping[str, str | int], ...]:
    """The first entry of each source."""
    return tuple({str(entry["source"]): entry for entry in reversed(entries)}.values())[::-1]


def open_pack(settings: DataSettings, folder: Path, *, seed: int) -> Pack:
    """The pack of the settings, or the one in the folder, made first where there is none."""
    if settings.pack is not None:
        return Pack(settings.pack)
    if (folder / ITEMS).is_file():
        return Pack(folder)
    return build_pack(settings, folder, seed=seed)


def _score(metrics: Metrics) -> float:
    """What the best checkpoint is chosen by: descriptors first, regions with them."""
    return metrics["all"]["recall_at_p95"] + 0.25 * metrics["regions"]["recall_at_p95"]
