"""A whole training run of the aligner in one folder.

The folder gets `pack-…/` (features of clips, as for the comparator), `last.pt` (to resume),
`validation.json`, `loss.png` and `export/` (`aligner.pt` and its card, to be put into a model's
folder).
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import cast

import torch

from dubl.models.aligner import AlignerNet, save_aligner
from dubl.models.checkpoints import ModelCard
from dubl.training.aligner_trainer import AlignerTrainer, aligner_loss, draw_batch
from dubl.training.alignment_footage import Scenery, imaginary, real
from dubl.training.clips import PaintScene
from dubl.training.comparator_run import clip_credits, open_feature_pack
from dubl.training.config import AlignerConfig
from dubl.training.curves import draw_curves
from dubl.training.run_folder import CHECKPOINT, read_results, write_results

logger = logging.getLogger(__name__)

VALIDATION_BATCHES = 12
HELD_OUT = 1_000_000_000  # numbers of batches that training does not reach

Figures = dict[str, dict[str, float]]


class AlignerRun:
    """Embeds clips, trains on matrices made of their features and of imaginary ones, exports."""

    def __init__(self, config: AlignerConfig, folder: Path, paint_scene: PaintScene) -> None:
        torch.set_num_threads(config.run.threads)
        torch.manual_seed(config.run.seed)
        self._config, self._folder = config, folder
        self._pack = open_feature_pack(
            config.weights, config.clips, folder, paint_scene, seed=config.run.seed
        )
        self._results: Figures = {}

    def run(self, *, resume: bool) -> Path:
        """Trains to the end; returns the folder with the aligner and its card."""
        trainer = AlignerTrainer(AlignerNet(), self._sceneries(validation=False), self._config.run)
        last = self._folder / CHECKPOINT
        if resume and last.is_file():
            trainer.resume(last)
            self._results = cast(Figures, read_results(self._folder))

        def on_validation(network: AlignerNet, step: int) -> None:
            self._validate(network, step)
            curves = {
                "cross entropy": [point.cross_entropy for point in trainer.history],
                "overlap": [point.overlap for point in trainer.history],
            }
            draw_curves(curves).save(self._folder / "loss.png")

        trainer.run(last, on_validation=on_validation)
        return self._folder / "export"

    def _sceneries(self, *, validation: bool) -> list[Scenery]:
        return [imaginary(), real(self._pack, validation=validation)]

    @torch.no_grad()
    def _validate(self, network: AlignerNet, step: int) -> None:
        """Measures on matrices of held-out clips; exports when nothing before was better."""
        network.eval()
        sceneries, run = self._sceneries(validation=True), self._config.run
        losses = [
            aligner_loss(network, draw_batch(sceneries, run, HELD_OUT + number))
            for number in range(VALIDATION_BATCHES)
        ]
        means = [float(torch.stack(column).mean()) for column in zip(*losses, strict=True)]
        figures = {"cross_entropy": means[0], "overlap": means[1]}
        others = [other["overlap"] for key, other in self._results.items() if key != str(step)]
        if means[1] < min(others, default=float("inf")):
            save_aligner(self._folder / "export", network, self._card(step, figures))
        self._results[str(step)] = figures
        write_results(self._folder, self._results)
        logger.info("step %d: %s", step, figures)

    def _card(self, step: int, figures: dict[str, float]) -> ModelCard:
        return ModelCard(
            name="aligner",
            version=f"step-{step}",
            training_data=(
                {"source": "imaginary features", "license": "none needed"},
                *clip_credits(self._pack),
            ),
            metrics=figures,
            notes=(
                f"{step} steps of {self._config.run.batch_size} synthesized matrices. Metrics: "
                "loss terms on matrices of clips held out from training."
            ),
        )
