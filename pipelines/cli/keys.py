"""`dubl keys`: API keys of a running service, or of its ledger while the service is stopped.

DuckDB allows one writing process. A running service holds the ledger, so keys are created through
it, with --url and an administrator's key in DUBL_API_KEY.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from dubl.client.client import Client
from dubl.contract.bodies import AuditEntry
from dubl.contract.bodies import Key as ListedKey
from dubl.settings import Settings
from dubl.types import Scope
from pipelines.cli.options import (
    DATA,
    AsJson,
    Config,
    Data,
    Key,
    Url,
    command_settings,
    connected,
    on_service,
    opened_ledger,
    print_warning,
    printed_errors,
)
from pipelines.cli.show import Columns, moment, print_items, print_json

AUDIT: Columns[AuditEntry] = {
    "time": lambda entry: moment(entry.created_at),
    "key": lambda entry: entry.key_name or "",
    "action": lambda entry: entry.action,
    "path": lambda entry: entry.path,
}

keys_app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="API keys: create, list, revoke; what was done.",
)


@keys_app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="person or program that uses the key")],
    scope: Annotated[list[Scope], typer.Option(help="may be repeated")],
    library: Annotated[
        list[str] | None, typer.Option(help="may be repeated; default: all libraries")
    ] = None,
    requests_per_minute: Annotated[int, typer.Option(min=0, help="0: as in the settings")] = 0,
    jobs_per_day: Annotated[int, typer.Option(min=0, help="0: as in the settings")] = 0,
    url: Url = "",
    data: Data = DATA,
    config: Config = None,
    key: Key = "",
) -> None:
    """Creates a key and prints it. It is not shown again."""
    with printed_errors():
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
                _warn(library or [], [one.name for one in client.list_libraries()])
            return
        from dubl.ledger.api_keys import make_key

        new = make_key(
            name,
            scopes=scope,
            libraries=library or (),
            requests_per_minute=requests_per_minute,
            jobs_per_day=jobs_per_day,
        )
        settings = command_settings(data, config)
        with opened_ledger(settings) as ledger:
            ledger.keys.add(new.key)
        typer.echo(new.token)
        if library:
            _warn(library, _libraries(settings))


def _libraries(settings: Settings) -> Iterable[str]:
    if not Path(settings.index_uri).is_dir():
        return ()
    from dubl.assembly import make_store

    return make_store(settings, read_only=True).libraries()


def _warn(named: Sequence[str], known: Iterable[str]) -> None:
    """Tells of named libraries without a reference."""
    for name in sorted(set(named).difference(known)):
        print_warning(
            f"no reference is in library {name}. Check its name; until one is registered, checks "
            "with this key are compared with nothing."
        )


@keys_app.command("list")
def list_keys(url: Url = "", data: Data = DATA, config: Config = None, key: Key = "") -> None:
    """Prints one JSON object for each key, without secrets."""
    with printed_errors():
        if url:
            with connected(url, key) as client:
                found = client.list_keys()
        else:
            with opened_ledger(command_settings(data, config)) as ledger:
                found = tuple(map(ListedKey.of, ledger.keys.list()))
        for item in found:
            print_json(item)


@keys_app.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(help="id or prefix, from `dubl keys list`")],
    url: Url = "",
    data: Data = DATA,
    config: Config = None,
    key: Key = "",
) -> None:
    """Revokes a key."""
    wanted = key_id.removeprefix("dubl_")
    with printed_errors():
        if url:
            with connected(url, key) as client:
                client.revoke_key(wanted)
        else:
            with opened_ledger(command_settings(data, config)) as ledger:
                ledger.keys.revoke(wanted)
        typer.echo(f"revoked dubl_{wanted}")


@keys_app.command("audit")
@on_service
def audit(
    client: Client,
    key_id: Annotated[str, typer.Option(help="only what this key did")] = "",
    since: Annotated[str, typer.Option(help="a time (UTC, ISO 8601)")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500)] = 50,
    as_json: AsJson = False,
) -> None:
    """Lists decisions, changes, exports and deletions over HTTP, newest first."""
    found = client.list_audit(key_id=key_id.removeprefix("dubl_"), since=since, limit=limit)
    print_items(found.items, AUDIT, as_json=as_json)
