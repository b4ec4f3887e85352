"""`dubl backup` and `dubl restore`.

A running service holds the ledger: it gives out a copy over HTTP. The library is read where it
lies, so that these commands run where its folder or object store can be reached.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dubl.backup import BackupFacts, restore_backup, write_backup
from pipelines.cli.options import (
    DATA,
    Config,
    Data,
    Key,
    Url,
    command_settings,
    connected,
    opened_ledger,
    told_errors,
)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="folder of the back-up")]


def backup(
    folder: Folder,
    url: Url = "",
    data: Data = DATA,
    config: Config = None,
    key: Key = "",
) -> None:
    """Copies library, ledger and unfinished uploads to an empty folder."""
    with told_errors():
        settings = command_settings(data, config)

        def copy_ledger(target: Path) -> None:
            if url:
                _download(url, key, target)
                return
            with opened_ledger(settings) as ledger:
                ledger.copy_to(target)

        _tell("saved", write_backup(folder, settings, copy_ledger=copy_ledger))


def restore(folder: Folder, data: Data = DATA, config: Config = None) -> None:
    """Brings a back-up into a data folder without a ledger; the service must be down."""
    with told_errors():
        _tell("restored", restore_backup(folder, command_settings(data, config)))


def _download(url: str, key: str, target: Path) -> None:
    with connected(url, key) as client:
        client.save("/v1/ledger", target)


def _tell(done: str, facts: BackupFacts) -> None:
    typer.echo(f"{done} {facts.references} references and the ledger of {facts.created_at}")
