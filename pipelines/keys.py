"""`dubl keys`: API keys, in a running service or, while there is none, in its ledger.

DuckDB lets one process write: while the service runs it holds the ledger, and keys are made
through it, with --url and an administrator's key in DUBL_API_KEY.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from dubl.errors import DublError, StoreUnavailable
from dubl.ledger.api_keys import make_key
from dubl.ledger.ledger import Ledger
from dubl.settings import Settings, load_settings
from dubl.types import ApiKey, Scope
from pipelines.service_client import ServiceClient

keys_app = typer.Typer(no_args_is_help=True, help="API keys: who may use the service.")

Data = Annotated[Path, typer.Option(help="the service's data folder, while it is down")]
Config = Annotated[Path | None, typer.Option(help="the service's settings file")]
Url = Annotated[
    str, typer.Option(envvar="DUBL_URL", help="address of the running service, http://host:port")
]
KEY_VARIABLE = "DUBL_API_KEY"
# From the environment alone: what stands on a command line is seen by others on the machine.
Key = Annotated[str, typer.Option(envvar=KEY_VARIABLE, hidden=True)]


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
    data: Data = Path("data"),
    config: Config = None,
    key: Key = "",
) -> None:
    """Makes a key and prints it: this once."""
    with told_errors():
        if url:
            body: dict[str, object] = {
                "name": name,
                "scopes": [item.value for item in scope],
                "libraries": library or [],
                "requests_per_minute": requests_per_minute,
                "jobs_per_day": jobs_per_day,
            }
            with ServiceClient(url, key=key) as client:
                typer.echo(client.ask("POST", "/v1/keys", body)["token"])
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
def list_keys(
    url: Url = "", data: Data = Path("data"), config: Config = None, key: Key = ""
) -> None:
    """Prints a JSON object a key, without secrets."""
    with told_errors():
        if url:
            with ServiceClient(url, key=key) as client:
                items = client.ask("GET", "/v1/keys")["items"]
                found = items if isinstance(items, list) else []
        else:
            with opened_ledger(command_settings(data, config)) as ledger:
                found = [_shown(item) for item in ledger.keys.list()]
        for item in found:
            typer.echo(json.dumps(item, ensure_ascii=False))


@keys_app.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(help="id or prefix, as `dubl keys list` shows it")],
    url: Url = "",
    data: Data = Path("data"),
    config: Config = None,
    key: Key = "",
) -> None:
    """Makes a key worthless."""
    wanted = key_id.removeprefix("dubl_")
    with told_errors():
        if url:
            with ServiceClient(url, key=key) as client:
                client.ask("DELETE", f"/v1/keys/{wanted}")
        else:
            with opened_ledger(command_settings(data, config)) as ledger:
                ledger.keys.revoke(wanted)
        typer.echo(f"revoked dubl_{wanted}")


def command_settings(data: Path, config: Path | None) -> Settings:
    """Settings of the service: its file, or the defaults with its data folder."""
    return load_settings(config, [] if config else [f"data_dir={data}"])


@contextmanager
def opened_ledger(settings: Settings) -> Iterator[Ledger]:
    """The ledger's file. Raises StoreUnavailable, naming the way while the service has it."""
    try:
        ledger = Ledger(settings.ledger_path)
    except StoreUnavailable as exc:
        raise StoreUnavailable(
            f"{exc.detail} While the service runs, name it with --url and put an administrator's "
            f"key into {KEY_VARIABLE}."
        ) from exc
    with closing(ledger):
        yield ledger


@contextmanager
def told_errors() -> Iterator[None]:
    """One line for an error, and exit status 1."""
    try:
        yield
    except DublError as exc:
        typer.echo(f"{exc.code}: {exc.detail} {exc.hint}".rstrip(), err=True)
        raise typer.Exit(1) from exc


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
