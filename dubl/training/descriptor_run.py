"""A whole training run of the descriptor network in one folder.

The folder gets `pack/` (the pictures), `last.pt` (to resume), `validation.json`, `loss.png` and
`export/` (weights and card of the best average so far).
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from dubl.models.checkpoints import load_checkpoint
from dubl.models.compact import CompactNet, load_compact
from dubl.models.devices import wants_gpu
from dubl.plots import loss_curves
from dubl.training.config import DataSettings, LicenseSettings, TrainingConfig
from dubl.training.datasets import ITEMS, LicenseFilter, Pack, Sources, build_pack, license_summary
from dubl.training.export import CardFacts, Metrics, export_weights
from dubl.training.heads import fit_heads, whiten_heads
from dubl.training.run_folder import CHECKPOINT, read_results, write_results
from dubl.training.sampling import BatchMaker
from dubl.training.trainer import Trainer
from dubl.training.untrained import untrained_network
from dubl.training.validation import extract, make_yardstick, measure
from dubl.training.views import StrongRanges
from dubl.training.workers import Workers

logger = logging.getLogger(__name__)

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
        self._results: dict[str, Metrics] = {}

    def run(self, *, resume: bool) -> Path:
        """Trains to the end; returns the folder with weights and card."""
        last = self._folder / CHECKPOINT
        if resume and last.is_file():
            self._trainer.resume(last)
            self._results = cast(dict[str, Metrics], read_results(self._folder))
        elif self._workers.leads:
            self._validate(self._trainer.average, 0)
        self._trainer.run(last, on_validation=self._validate)
        return self._folder / "export"

    def _start(self) -> CompactNet:
        config = self._config
        if config.weights is not None:
            return load_compact(config.weights).requires_grad_(True)
        pictures = self._head_pictures(limit=HEAD_PICTURES)
        network = untrained_network(pictures[:: len(pictures) // 32 + 1], seed=config.run.seed)
        fit_heads(network, pictures)
        return network

    def _start_credits(self) -> list[dict[str, str | int]]:
        """What the starting weights owe to whom."""
        if self._config.weights is None:
            return []
        return [dict(entry) for entry in load_checkpoint(self._config.weights).card.training_data]

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
        others = (result for key, result in self._results.items() if key != str(step))
        best = max((_score(result) for result in others), default=-1.0)
        self._folder.mkdir(parents=True, exist_ok=True)
        losses = self._trainer.curves("contrast", "entropy", "regions")
        loss_curves(losses).savefig(self._folder / "loss.png")
        logger.info("step %d: %s", step, metrics["all"] | {"regions": metrics["regions"]})
        if _score(metrics) > best:
            export_weights(network, self._facts(step, metrics), self._folder / "export")
        self._results[str(step)] = metrics
        write_results(self._folder, self._results)

    def _facts(self, step: int, metrics: Metrics) -> CardFacts:
        run = self._config.run
        chosen = self._pack.select(validation=False)
        summary = license_summary([self._pack.items[index] for index in chosen])
        return CardFacts(
            version=f"step-{step}",
            training_data=_distinct([*self._start_credits(), *summary]),
            metrics={"start": self._results.get("0", metrics), "trained": metrics},
            notes=(
                f"{step} steps of {run.batch_size} pairs of views "
                f"({step * run.batch_size / len(chosen):.1f} epochs of {len(chosen)} pictures). "
                "Metrics: edited frames of clips from sources held out of training."
            ),
        )


def _distinct(entries: Sequence[dict[str, str | int]]) -> list[dict[str, str | int]]:
    """The first entry of each source."""
    return list({str(entry["source"]): entry for entry in reversed(entries)}.values())[::-1]


def open_pack(settings: DataSettings, folder: Path, *, seed: int) -> Pack:
    """The pack of the settings, or the one in the folder, made first where there is none."""
    if settings.pack is not None:
        return Pack(settings.pack)
    if (folder / ITEMS).is_file():
        return Pack(folder)
    return build_pack(pack_sources(settings, seed=seed), folder)


def pack_sources(settings: DataSettings, *, seed: int) -> Sources:
    """What the settings want to be packed."""
    return Sources(
        images=settings.images,
        videos=settings.videos,
        procedural=settings.procedural,
        stickers=settings.stickers,
        fonts=settings.fonts,
        size=settings.size,
        licenses=license_filter(settings.licenses),
        validation_repositories=settings.validation_repositories,
        seed=seed,
    )


def license_filter(settings: LicenseSettings) -> LicenseFilter:
    """The patterns where only clearly licensed data is wanted, else a filter that keeps all."""
    if not settings.clear_only:
        return LicenseFilter()
    return LicenseFilter(allow=settings.allow, deny=settings.deny)


def _score(metrics: Metrics) -> float:
    """What the best checkpoint is chosen by: descriptors first, regions with them."""
    return metrics["all"]["recall_at_p95"] + 0.25 * metrics["regions"]["recall_at_p95"]
