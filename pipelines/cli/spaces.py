"""`dubl spaces`: feature spaces of a running service. Needs an administrator's key."""

from __future__ import annotations

import csv
import sys
from typing import Annotated

import typer

from dubl.contract.bodies import Space, SpaceSwitch
from pipelines.cli.options import AsJson, Key, Url, connected, printed_errors
from pipelines.cli.show import print_json, print_table

spaces_app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Feature spaces of a service: compare, switch, roll back.",
)
HEADINGS = (
    "space",
    "model",
    "answers",
    "references",
    "missing",
    "shadow checks",
    "agreed",
    "differing: answered > shadow",
)
PAGE = 5000
LOCAL = "http://127.0.0.1:8000"
SpaceId = Annotated[str, typer.Argument(metavar="SPACE", help="id, from `dubl spaces list`")]
Note = Annotated[str, typer.Option(help="reason, for the history")]


@spaces_app.command("list")
def list_spaces(
    history: Annotated[bool, typer.Option("--history", help="list switches, newest first")] = False,
    since: Annotated[str, typer.Option(help="count shadow checks since, ISO 8601")] = "",
    url: Url = LOCAL,
    as_json: AsJson = False,
    key: Key = "",
) -> None:
    """Lists the feature spaces in service, or the history of switches."""
    with printed_errors(), connected(url, key) as client:
        found = client.list_spaces(since=since)
    if as_json:
        for item in found.switches if history else found.items:
            print_json(item)
    elif history:
        print_table(
            ("from", "space", "before", "key", "why"), [_switch(one) for one in found.switches]
        )
    else:
        print_table(HEADINGS, [_space(one) for one in found.items])


@spaces_app.command("missing")
def missing(space_id: SpaceId, url: Url = LOCAL, key: Key = "") -> None:
    """Prints the references that a space lacks, as a list for `dubl index --space candidate`.

    The path is empty if the file is unknown.
    """
    out = csv.writer(sys.stdout, lineterminator="\n")
    with printed_errors(), connected(url, key) as client:
        out.writerow(("id", "path", "library", "source"))
        cursor: str | None = ""
        while cursor is not None:
            page = client.missing_references(space_id, limit=PAGE, cursor=cursor)
            for one in page.items:
                out.writerow((one.id, one.path or "", one.library, one.source))
            cursor = page.next_cursor


@spaces_app.command("switch")
def switch(
    space_id: SpaceId,
    force: Annotated[
        bool, typer.Option("--force", help="switch even if the space lacks references")
    ] = False,
    note: Note = "",
    url: Url = LOCAL,
    key: Key = "",
) -> None:
    """Switches to another answering space."""
    with printed_errors(), connected(url, key) as client:
        made = client.switch_space(space_id, force=force, note=note)
    typer.echo(f"{made.space_id} answers now; before it: {made.previous_id}")


@spaces_app.command("rollback")
def rollback(note: Note = "", url: Url = LOCAL, key: Key = "") -> None:
    """Switches back to the previous answering space."""
    with printed_errors(), connected(url, key) as client:
        made = client.roll_back_space(note=note)
    typer.echo(f"{made.space_id} answers now; before it: {made.previous_id}")


def _space(one: Space) -> tuple[str, ...]:
    differing = ", ".join(f"{two.answered} > {two.shadow}: {two.count}" for two in one.differing)
    return (
        one.space_id,
        one.model_id,
        "yes" if one.answers else "",
        str(one.references),
        str(one.missing),
        str(one.shadow_checks),
        str(one.agreed),
        differing,
    )


def _switch(one: SpaceSwitch) -> tuple[str, ...]:
    why = f"rollback {one.note}".strip() if one.rollback else one.note
    return (one.created_at[:19].replace("T", " "), one.space_id, one.previous_id, one.by, why)
