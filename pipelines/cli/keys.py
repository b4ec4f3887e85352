"""`dubl keys`: API keys, in a running service or, while there is none, in its ledger.

DuckDB lets one process write: while the service runs it holds the ledger, and keys are made
through it, with --url and an administrator's key in DUBL_API_KEY.
"""

from __future__ import annotations

import json
from typing import Annotated

import typer

from dubl.ledger.api_keys import make_key
from dubl.types import ApiKey, Scope
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

keys_app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="API keys: who may use the service."
)


@keys_app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="who or what the key is for")],
    scope: Annotated[list[Scope], typer.Option(help="may be repeated")],
    library: Annotated[
        list[str] | None, typer.Option(help="may be repeated; without it, all libraries")
    ] = None,
    requests_per_minute: Annotated[int, typer.Option(min=0, help="0: as in the settings")] = 0,
    jobs_per_day: Annotated[int, typer.Option(min=0, help="0: as in the settings")] = 0,
    url: Url = "",
    data: Data = DATA,
    config: Config = None,
    key: Key = "",
) -> None:
    """Makes a key and prints it: this once."""
    with told_errors():
        if url:
            with connected(url, key) as client:
                made = client.create_key(
                    name,
                    scopes=[item.value for item in scope],
                    libraries=library or [],
                    requests_per_minute=requests_per_minute,
                    jobs_per_day=jobs_per_day,
                )
            typer.echo(made.token)
            return
        new = make_key(
            name,
            scopes=scope,
            libraries=library or (),
            requests_per_minute=requests_per_minute,
            jobs_per_day=jobs_per_day,
        )
        with opened_ledger(command_settings(data, config)) as ledger:
            ledger.keys.add(new.key)
        typer.echo(new.token)


@keys_app.command("list")
def list_keys(url: Url = "", data: Data = DATA, config: Config = None, key: Key = "") -> None:
    """Prints a JSON object a key, without secrets."""
    with told_errors():
        if url:
            with connected(url, key) as client:
                found = [item.model_dump(mode="json") for item in client.list_keys()]
        else:
            with opened_ledger(command_settings(data, config)) as ledger:
                found = [_shown(item) for item in ledger.keys.list()]
        for item in found:
            typer.echo(json.dumps(item, ensure_ascii=False))


@keys_app.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(help="id or prefix, as `dubl keys list` shows it")],
    url: Url = "",
    data: Data = DATA,
    config: Config = None,
    key: Key = "",
) -> None:
    """Makes a key worthless."""
    wanted = key_id.removeprefix("dubl_")
    with told_errors():
        if url:
            with connected(url, key) as client:
                client.revoke_key(wanted)
        else:
            with opened_ledger(command_settings(data, config)) as ledger:
                ledger.keys.revoke(wanted)
        typer.echo(f"revoked dubl_{wanted}")


def _shown(key: ApiKey) -> dict[str, object]:
    return {
        "id": key.id,
        "prefix": key.prefix,
        "name": key.name,
        "scopes": [scope.value for scope in key.scopes],
        "libraries": list(key.libraries),
        "requests_per_minute": key.requests_per_minute,
        "jobs_per_day": key.jobs_per_day,
        "created_at": key.created_at,
        "revoked_at": key.revoked_at or None,
    }
