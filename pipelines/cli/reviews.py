"""`dubl reviews`: the review queue, and decisions."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from dubl.types import Decision, ReviewState
from pipelines.cli.backends import opened_backend
from pipelines.cli.options import DATA, AsJson, Config, Data, Key, Url, printed_errors
from pipelines.cli.show import print_json, print_table

reviews_app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="The review queue, and decisions."
)
QUEUE = ("video", "reference", "library", "probability", "state", "check")
HISTORY = ("when", "decision", "reviewer", "note", "check", "reference")


class Shown(StrEnum):
    """States by which the queue can be filtered."""

    OPEN = ReviewState.OPEN.value
    CONFIRMED = ReviewState.CONFIRMED.value
    REJECTED = ReviewState.REJECTED.value
    LICENSED = ReviewState.LICENSED.value


@reviews_app.command("queue")
def queue(
    state: Annotated[Shown, typer.Option()] = Shown.OPEN,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 50,
    url: Url = "",
    data: Data = DATA,
    config: Config = None,
    as_json: AsJson = False,
    key: Key = "",
) -> None:
    """Lists matches in one state, newest checks first."""
    with printed_errors(), opened_backend(url, key, data, config) as backend:
        items = backend.review_queue(state=state.value, limit=limit).items
    if as_json:
        for item in items:
            print_json(item)
        return
    rows = [
        (
            item.query_name,
            item.reference_id,
            item.library,
            f"{item.probability:.2f}",
            item.state,
            item.check_id,
        )
        for item in items
    ]
    print_table(QUEUE, rows)


@reviews_app.command("decide")
def decide(
    check_id: Annotated[str, typer.Argument(metavar="CHECK")],
    reference_id: Annotated[str, typer.Argument(metavar="REFERENCE")],
    decision: Annotated[Decision, typer.Argument()],
    reviewer: Annotated[str, typer.Option(help="name of the reviewer")] = "",
    note: Annotated[str, typer.Option()] = "",
    url: Url = "",
    data: Data = DATA,
    config: Config = None,
    as_json: AsJson = False,
    key: Key = "",
) -> None:
    """Adds a decision or a comment to the history of a match."""
    with printed_errors(), opened_backend(url, key, data, config) as backend:
        entry = backend.review(
            check_id, reference_id, decision=decision.value, reviewer=reviewer, note=note
        )
    if as_json:
        print_json(entry)
    else:
        typer.echo(f"{entry.decision}: {check_id} and {reference_id}")


@reviews_app.command("history")
def history(
    check_id: Annotated[str, typer.Option("--check", help="of one check")] = "",
    reference_id: Annotated[str, typer.Option("--reference", help="of one reference")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500)] = 50,
    url: Url = "",
    data: Data = DATA,
    config: Config = None,
    as_json: AsJson = False,
    key: Key = "",
) -> None:
    """Lists decisions and comments, newest first."""
    with printed_errors(), opened_backend(url, key, data, config) as backend:
        items = backend.list_reviews(
            check_id=check_id, reference_id=reference_id, limit=limit
        ).items
    if as_json:
        for item in items:
            print_json(item)
        return
    rows = [
        (
            item.created_at[:19].replace("T", " "),
            item.decision,
            item.reviewer,
            item.note,
            item.check_id,
            item.reference_id,
        )
        for item in items
    ]
    print_table(HISTORY, rows)
