"""`dubl checks`: deletion of checks of a running service, and legal holds, which prevent it."""

from __future__ import annotations

from typing import Annotated

import typer

from dubl.client.client import Client
from dubl.contract.bodies import Hold
from pipelines.cli.options import AsJson, on_service
from pipelines.cli.show import Columns, moment, print_items

checks_app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Checks of a service: delete, legal holds."
)
HOLDS: Columns[Hold] = {
    "check": lambda one: one.check_id,
    "since": lambda one: moment(one.created_at),
    "key": lambda one: one.by,
    "reason": lambda one: one.reason,
}
CheckId = Annotated[str, typer.Argument(metavar="CHECK")]


@checks_app.command("delete")
@on_service
def delete(client: Client, check_id: CheckId) -> None:
    """Deletes a check with all that is stored of it. Needs an administrator's key."""
    client.delete_check(check_id)


@checks_app.command("hold")
@on_service
def hold(
    client: Client, check_id: CheckId, reason: Annotated[str, typer.Option(help="why")] = ""
) -> None:
    """Keeps a check and its evidence, whatever their age, until the hold is released."""
    client.hold_check(check_id, reason=reason)


@checks_app.command("release")
@on_service
def release(client: Client, check_id: CheckId) -> None:
    """Ends a legal hold. Needs an administrator's key."""
    client.release_check(check_id)


@checks_app.command("holds")
@on_service
def holds(client: Client, as_json: AsJson = False) -> None:
    """Lists checks under a legal hold, newest first."""
    print_items(client.list_holds(), HOLDS, as_json=as_json)
