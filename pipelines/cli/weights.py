"""`dubl weights`: published models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dubl.models.fetching import fetch_model
from dubl.models.presets import PRESETS, find_preset
from pipelines.cli.options import printed_errors

weights_app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Published weights: the ViSiL family, SSCD."
)


@weights_app.command("list")
def list_weights() -> None:
    """Lists the weights that can be downloaded, with license and address."""
    for preset in PRESETS.values():
        typer.echo(f"{preset.name:20} {preset.file.license:12} {preset.file.url}")


@weights_app.command("fetch")
def fetch_weights(
    name: Annotated[str, typer.Argument(help="name, from `dubl weights list`")],
    folder: Annotated[Path, typer.Option(help="folder for the files")] = Path("data/weights"),
) -> None:
    """Downloads the missing files of a published model to FOLDER, and converts them to a model for
    `model.weights`."""
    with printed_errors():
        typer.echo(str(fetch_model(find_preset(name), folder)))
