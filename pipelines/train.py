"""Trains the descriptor network on pictures and clips without labels.

    python -m pipelines.train --config configs/train_descriptor.yaml --output runs/descriptor

The result is a folder with weights and a model card, which `model.weights` can name.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from dubl.errors import DublError
from dubl.training.config import parse_training_config
from dubl.training.descriptor_run import DescriptorRun

app = typer.Typer(add_completion=False)


@app.command()
def train(
    config: Annotated[Path, typer.Option(help="Training configuration, YAML.")],
    output: Annotated[Path, typer.Option(help="Folder for data, checkpoints and the result.")],
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint.")] = False,
) -> None:
    """Trains and writes weights with their card to OUTPUT/export."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    try:
        settings = parse_training_config(config.read_text(encoding="utf-8"))
        result = DescriptorRun(settings, output).run(resume=resume)
    except (DublError, OSError) as exc:
        typer.echo(f"training failed: {exc}", err=True)
        raise typer.Exit(code=1) from exc
    typer.echo(f"weights and card are in {result}")


if __name__ == "__main__":
    app()
