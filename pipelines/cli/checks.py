"""`dubl checks`: the finished checks; in a running service deletion, and legal holds."""

from __future__ import annotations

from typing import Annotated

import typer

from dubl.client.client import Client
from dubl.contract.bodies import Check, Hold
from dubl.types import Outcome
from pipelines.cli.options import AsJson, Backend, on_backend, on_service, print_warning
from pipelines.cli.show import Columns, moment, print_items

checks_app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Finished checks: list, delete, legal holds."
)
HOLDS: Columns[Hold] = {
    "check": lambda one: one.check_id,
    "since": lambda one: moment(one.created_at),
    "key": lambda one: one.by,
    "reason": lambda one: one.reason,
}
FOUND: Columns[Check] = {
    "video": lambda one: one.query_name,
    "verdict": lambda one: one.outcome,
    "probability": lambda one: f"{one.probability:.2f}",
    "reference": lambda one: one.matches[0].reference_id if one.matches else "",
    "checked (UTC)": lambda one: moment(one.created_at),
    "check": lambda one: one.id,
}
CheckId = Annotated[str, typer.Argument(metavar="CHECK")]


@checks_app.command("list")
@on_backend
def listing(
    backend: Backend,
    name: Annotated[str, typer.Option(help="in the upload's name")] = "",
    sha256: Annotated[str, typer.Option(help="of the upload, or its beginning")] = "",
    outcome: Annotated[Outcome | None, typer.Option()] = None,
    library: Annotated[str, typer.Option(help="that was searched")] = "",
    reference: Annotated[str, typer.Option(help="id of the best match")] = "",
    since: Annotated[str, typer.Option(help="UTC day or time: 2026-01-02, 2026-01-02T03")] = "",
    until: Annotated[str, typer.Option(help="to the end of this day or hour")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500)] = 50,
    as_json: AsJson = False,
) -> None:
    """Lists finished checks, newest first."""
    found = backend.list_checks(
        text=name,
        sha256=sha256,
        outcome=outcome or "",
        library=library,
        reference_id=reference,
        since=since,
        until=until,
        limit=limit,
    )
    print_items(found.items, FOUND, as_json=as_json)
    if found.next_cursor and not as_json:
        print_warning(f"there are more than {limit}. Narrow the search, or raise --limit.")


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
