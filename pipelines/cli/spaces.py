"""`dubl spaces`: feature spaces of a running service. Needs an administrator's key."""

from __future__ import annotations

import csv
import sys
from typing import Annotated

import typer

from dubl.client.client import Client
from dubl.contract.bodies import Space, SpaceSwitch
from pipelines.cli.options import AsJson, every, on_service
from pipelines.cli.show import Columns, moment, print_items

spaces_app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Feature spaces of a service: compare, switch, roll back.",
)
SPACES: Columns[Space] = {
    "space": lambda one: one.space_id,
    "model": lambda one: one.model_id,
    "answers": lambda one: "yes" if one.answers else "",
    "references": lambda one: str(one.references),
    "missing": lambda one: str(one.missing),
    "shadow checks": lambda one: str(one.shadow_checks),
    "agreed": lambda one: str(one.agreed),
    "differing: answered > shadow": lambda one: ", ".join(
        f"{two.answered} > {two.shadow}: {two.count}" for two in one.differing
    ),
}
SWITCHES: Columns[SpaceSwitch] = {
    "from": lambda one: moment(one.created_at),
    "space": lambda one: one.space_id,
    "before": lambda one: one.previous_id,
    "key": lambda one: one.by,
    "why": lambda one: f"rollback {one.note}".strip() if one.rollback else one.note,
}
PAGE = 5000
SpaceId = Annotated[str, typer.Argument(metavar="SPACE", help="id, from `dubl spaces list`")]
Note = Annotated[str, typer.Option(help="reason, for the history")]


@spaces_app.command("list")
@on_service
def list_spaces(
    client: Client,
    history: Annotated[bool, typer.Option("--history", help="list switches, newest first")] = False,
    since: Annotated[str, typer.Option(help="count shadow checks since, ISO 8601")] = "",
    as_json: AsJson = False,
) -> None:
    """Lists the feature spaces in service, or the history of switches."""
    found = client.list_spaces(since=since)
    if history:
        print_items(found.switches, SWITCHES, as_json=as_json)
    else:
        print_items(found.items, SPACES, as_json=as_json)


@spaces_app.command("missing")
@on_service
def missing(client: Client, space_id: SpaceId) -> None:
    """Prints the references that a space lacks, as a list for `dubl index --space candidate`.

    The path is empty if the file is unknown.
    """
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(("id", "path", "library", "source"))
    for one in every(lambda cursor: client.missing_references(space_id, limit=PAGE, cursor=cursor)):
        out.writerow((one.id, one.path or "", one.library, one.source))


@spaces_app.command("switch")
@on_service
def switch(
    client: Client,
    space_id: SpaceId,
    force: Annotated[
        bool, typer.Option("--force", help="switch even if the space lacks references")
    ] = False,
    note: Note = "",
) -> None:
    """Switches to another answering space."""
    _tell(client.switch_space(space_id, force=force, note=note))


@spaces_app.command("rollback")
@on_service
def rollback(client: Client, note: Note = "") -> None:
    """Switches back to the previous answering space."""
    _tell(client.roll_back_space(note=note))


def _tell(made: SpaceSwitch) -> None:
    typer.echo(f"{made.space_id} answers now; before it: {made.previous_id}")
