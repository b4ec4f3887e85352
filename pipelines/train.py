"""Trains networks: the descriptor on pictures, the comparator on clips, both without labels, and
the comparator on a user's own labeled pairs.

    python -m pipelines.train descriptor --config configs/train_descriptor.yaml --output runs/d
    python -m pipelines.train comparator --config configs/train_comparator.yaml --output runs/c
    python -m pipelines.train pairs --pairs pairs.csv --output runs/p

The first gives a folder with weights and a model card, which `model.weights` can name; the second
a `comparator.pt` with its card, to be put into such a folder; the third a whole such folder.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from dubl.assembly import make_decoder, make_embedder
from dubl.errors import DublError
from dubl.evaluation.scenes import scene_frames
from dubl.settings import load_settings
from dubl.training.comparator_run import ComparatorRun
from dubl.training.config import parse_comparator_config, parse_training_config
from dubl.training.descriptor_run import DescriptorRun
from dubl.training.pair_run import STEPS, PairRun
from dubl.training.pairs import read_pairs

SCENE_SIZE = (284, 160)
SCENE_S = 12.0

ConfigOption = Annotated[Path, typer.Option(help="Training configuration, YAML.")]
OutputOption = Annotated[Path, typer.Option(help="Folder for data, checkpoints and the result.")]
ResumeOption = Annotated[bool, typer.Option(help="Go on from the last checkpoint.")]

app = typer.Typer(add_completion=False)


@app.command()
def descriptor(config: ConfigOption, output: OutputOption, resume: ResumeOption = False) -> None:
    """Trains the frame network; weights and card go to OUTPUT/export."""

    def train() -> Path:
        settings = parse_training_config(config.read_text(encoding="utf-8"))
        return DescriptorRun(settings, output).run(resume=resume)

    _run(train)


@app.command()
def comparator(config: ConfigOption, output: OutputOption, resume: ResumeOption = False) -> None:
    """Trains attention and comparator; comparator.pt and its card go to OUTPUT/export."""

    def train() -> Path:
        settings = parse_comparator_config(config.read_text(encoding="utf-8"))
        return ComparatorRun(settings, output, paint_scene).run(resume=resume)

    _run(train)


@app.command()
def pairs(
    pairs: Annotated[Path, typer.Option(help="CSV with the columns query, reference, label.")],
    output: OutputOption,
    weights: Annotated[str, typer.Option(help="Model to start from.")] = "dubl-compact",
    steps: Annotated[int, typer.Option(help="Steps of eight pairs each.")] = STEPS,
) -> None:
    """Fits comparator and calibration to labeled pairs; OUTPUT becomes a model's folder."""

    def train() -> Path:
        labeled = read_pairs(pairs)
        settings = load_settings(None, [f"model.weights={weights}"])
        run = PairRun(
            settings, output, decoder=make_decoder(settings), embedder=make_embedder(settings)
        )
        return run.run(labeled, steps=steps)

    _run(train)


def paint_scene(seed: int, rate_hz: float) -> Iterator[NDArray[np.uint8]]:
    """Frames of the generated scene of this seed."""
    frames = scene_frames(seed=seed, duration_s=SCENE_S, size=SCENE_SIZE, frame_rate=rate_hz)
    return (frame.image for frame in frames)


def _run(train: Callable[[], Path]) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    try:
        result = train()
    except (DublError, OSError) as exc:
        typer.echo(f"training failed: {exc}", err=True)
        raise typer.Exit(code=1) from exc
    typer.echo(f"the result is in {result}")


if __name__ == "__main__":
    app()
