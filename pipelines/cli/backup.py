"""`dubl backup` and `dubl restore`.

A running service holds the ledger, so its copy is fetched over HTTP. The library is read directly:
run these commands on a machine that can access its folder or object store. The back-up may be in a
folder or in an object store.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from dubl.backup import MANIFEST, BackupFacts, restore_backup, write_backup
from dubl.errors import InvalidRequest
from dubl.objects import ObjectFolder, is_object_address
from pipelines.cli.options import (
    DATA,
    Config,
    Data,
    Key,
    Url,
    command_settings,
    connected,
    opened_ledger,
    printed_errors,
)

Place = Annotated[str, typer.Argument(metavar="DIR", help="folder or s3:// address of the back-up")]


def backup(
    place: Place,
    url: Url = "",
    data: Data = DATA,
    config: Config = None,
    key: Key = "",
) -> None:
    """Copies library, ledger and unfinished uploads to an empty folder or object-store prefix."""
    with printed_errors():
        settings = command_settings(data, config)

        def copy_ledger(target: Path) -> None:
            if url:
                _download(url, key, target)
                return
            with opened_ledger(settings) as ledger:
                ledger.copy_to(target)

        if not is_object_address(place):
            _tell("saved", write_backup(Path(place), settings, copy_ledger=copy_ledger))
            return
        store = ObjectFolder(place)
        if store.list():
            raise InvalidRequest(f"{store.place} is not empty. Use an empty prefix.")
        with tempfile.TemporaryDirectory() as folder:
            facts = write_backup(Path(folder), settings, copy_ledger=copy_ledger)
            _put(Path(folder), store)
        _tell("saved", facts)


def restore(place: Place, data: Data = DATA, config: Config = None) -> None:
    """Restores a back-up into a data folder without a ledger. Stop the service first."""
    with printed_errors():
        settings = command_settings(data, config)
        if not is_object_address(place):
            _tell("restored", restore_backup(Path(place), settings))
            return
        with tempfile.TemporaryDirectory() as folder:
            _get(ObjectFolder(place), Path(folder))
            _tell("restored", restore_backup(Path(folder), settings))


def _put(folder: Path, store: ObjectFolder) -> None:
    """Stores the manifest last: without it, the objects are not a back-up."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in sorted(paths, key=lambda path: path.name == MANIFEST):
        store.put(path, str(path.relative_to(folder)))


def _get(store: ObjectFolder, folder: Path) -> None:
    for item in store.list():
        path = folder / item.name
        path.parent.mkdir(parents=True, exist_ok=True)
        store.get(item.name, path)


def _download(url: str, key: str, target: Path) -> None:
    with connected(url, key) as client:
        client.save("/v1/ledger", target)


def _tell(done: str, facts: BackupFacts) -> None:
    typer.echo(f"{done} {facts.references} references and the ledger of {facts.created_at}")
