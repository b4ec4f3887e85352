"""`dubl fingerprint`: makes files that a service checks in place of videos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dubl.contract.names import plain_text
from dubl.fingerprints import Fingerprinter
from dubl.settings import load_settings
from pipelines.cli.options import (
    FAILED,
    Config,
    Overrides,
    one_of_many,
    printed_errors,
)
from pipelines.cli.show import print_table, progress_bar


def fingerprint(
    videos: Annotated[list[Path], typer.Argument(help="files", metavar="VIDEO")],
    folder: Annotated[Path, typer.Option("--out", "-o", help="folder for the files")] = Path(),
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Writes VIDEO.dubl for each video: features from which no picture can be seen.

    Exits with 1 if a video could not be read.
    """
    names = [video.name for video in videos]
    if twice := {plain_text(name) for name in names if names.count(name) > 1}:
        raise typer.BadParameter(f"two videos are named {min(twice)}", param_hint="VIDEO")
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[tuple[str, ...]] = []
    with (
        printed_errors(),
        Fingerprinter(load_settings(config, overrides or [])) as maker,
        progress_bar(len(videos)) as bar,
    ):
        for video in videos:
            bar.begin(plain_text(video.name))
            rows += _written(maker, video, folder)
            bar.end()
    if rows:
        print_table(("fingerprint", "bytes", "of the video's"), rows)
    if len(rows) < len(videos):
        raise typer.Exit(FAILED)


def _written(maker: Fingerprinter, video: Path, folder: Path) -> list[tuple[str, ...]]:
    """A row of the table; none after an error of this video."""
    rows: list[tuple[str, ...]] = []
    with one_of_many(str(video)):
        path = maker.write(video, folder)
        size_bytes = path.stat().st_size
        share = size_bytes / max(video.stat().st_size, 1)
        rows.append((plain_text(str(path)), f"{size_bytes:,}", f"{share:.1%}"))
    return rows
