"""`dubl weights`: published models, and models of earlier versions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dubl.models.cards import CARD_FILE
from dubl.models.fetching import fetch_model
from dubl.models.numpy_comparator import COMPARATOR_CARD_FILE
from dubl.models.presets import PRESETS, find_preset
from pipelines.cli.options import printed_errors

weights_app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Published weights of the ViSiL family."
)


@weights_app.command("list")
def list_weights() -> None:
    """Lists the weights that can be downloaded, with license and address."""
    for preset in PRESETS.values():
        comparator = preset.comparator
        typer.echo(f"{preset.name:20} {comparator.license:12} {comparator.url}")


@weights_app.command("fetch")
def fetch_weights(
    name: Annotated[str, typer.Argument(help="name, from `dubl weights list`")],
    folder: Annotated[Path, typer.Option(help="folder for the files")] = Path("data/weights"),
) -> None:
    """Downloads the missing files of a published model to FOLDER, and converts them to a model for
    `model.weights`."""
    with printed_errors():
        typer.echo(str(fetch_model(find_preset(name), folder)))


@weights_app.command("convert")
def convert_weights(
    folder: Annotated[Path, typer.Argument(help="model folder of an earlier version")],
) -> None:
    """Converts weights.pt and comparator.pt in FOLDER to safetensors. A library of this model stays
    valid."""
    from dubl.models.checkpoints import convert_checkpoint  # imports torch

    with printed_errors():
        for name, card_file in (("weights.pt", CARD_FILE), ("comparator.pt", COMPARATOR_CARD_FILE)):
            if (folder / name).exists():
                convert_checkpoint(folder / name, card_file)
                typer.echo(f"{folder / name} may be deleted")
