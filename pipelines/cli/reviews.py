"""`dubl reviews`: the review queue, and decisions. `dubl calibrate`: thresholds from decisions."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from dubl.contract.bodies import Calibration, Precision, Review, ReviewItem
from dubl.types import MIN_DECISIONS, Decision, ReviewState
from pipelines.cli.options import AsJson, Backend, on_backend
from pipelines.cli.show import Columns, moment, print_items, print_json, print_table

reviews_app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="The review queue, and decisions."
)
QUEUE: Columns[ReviewItem] = {
    "video": lambda one: one.query_name,
    "reference": lambda one: one.reference_id,
    "library": lambda one: one.library,
    "probability": lambda one: f"{one.probability:.2f}",
    "state": lambda one: one.state,
    "check": lambda one: one.check_id,
}
HISTORY: Columns[Review] = {
    "when": lambda one: moment(one.created_at),
    "decision": lambda one: one.decision,
    "reviewer": lambda one: one.reviewer,
    "note": lambda one: one.note,
    "check": lambda one: one.check_id,
    "reference": lambda one: one.reference_id,
}


class Shown(StrEnum):
    """States by which the queue can be filtered."""

    OPEN = ReviewState.OPEN.value
    CONFIRMED = ReviewState.CONFIRMED.value
    REJECTED = ReviewState.REJECTED.value
    LICENSED = ReviewState.LICENSED.value


@reviews_app.command("queue")
@on_backend
def queue(
    backend: Backend,
    state: Annotated[Shown, typer.Option()] = Shown.OPEN,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 50,
    as_json: AsJson = False,
) -> None:
    """Lists matches in one state, newest checks first."""
    found = backend.review_queue(state=state.value, limit=limit)
    print_items(found.items, QUEUE, as_json=as_json)


@reviews_app.command("decide")
@on_backend
def decide(
    backend: Backend,
    check_id: Annotated[str, typer.Argument(metavar="CHECK")],
    reference_id: Annotated[str, typer.Argument(metavar="REFERENCE")],
    decision: Annotated[Decision, typer.Argument()],
    reviewer: Annotated[str, typer.Option(help="name of the reviewer")] = "",
    note: Annotated[str, typer.Option()] = "",
    as_json: AsJson = False,
) -> None:
    """Adds a decision or a comment to the history of a match."""
    entry = backend.review(
        check_id, reference_id, decision=decision.value, reviewer=reviewer, note=note
    )
    if as_json:
        print_json(entry)
    else:
        typer.echo(f"{entry.decision}: {check_id} and {reference_id}")


@reviews_app.command("history")
@on_backend
def history(
    backend: Backend,
    check_id: Annotated[str, typer.Option("--check", help="of one check")] = "",
    reference_id: Annotated[str, typer.Option("--reference", help="of one reference")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500)] = 50,
    as_json: AsJson = False,
) -> None:
    """Lists decisions and comments, newest first."""
    found = backend.list_reviews(check_id=check_id, reference_id=reference_id, limit=limit)
    print_items(found.items, HISTORY, as_json=as_json)


HEADINGS = ("outcome", "threshold", "decided above it", "share of copies", "95 % interval")


@on_backend
def calibrate(
    backend: Backend,
    library: Annotated[str, typer.Argument(help="library with decided matches")],
    least_decisions: Annotated[
        int, typer.Option(min=1, help="fail with fewer decisions")
    ] = MIN_DECISIONS,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="show the result, change nothing")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fits a library's thresholds to review decisions. They apply from the next check on.

    With a running service (--url), an administrator's key is needed.
    """
    found = backend.calibrate_library(library, least_decisions=least_decisions, adopt=not dry_run)
    if as_json:
        print_json(found)
        return
    print_table(HEADINGS, _rows(found))
    done = "the fitted thresholds hold from now on" if found.adopted else "nothing was changed"
    typer.echo(f"{found.decisions} decisions, {found.copies} of them copies: {done}")


def _rows(found: Calibration) -> list[tuple[str, ...]]:
    return [
        _row("duplicate, current", found.duplicate_before),
        _row("duplicate, fitted", found.duplicate_after),
        _row("review, current", found.review_before),
        _row("review, fitted", found.review_after),
    ]


def _row(name: str, one: Precision) -> tuple[str, ...]:
    share = one.copies / one.matches if one.matches else 0.0
    return (
        name,
        f"{one.threshold:.3f}",
        str(one.matches),
        f"{share:.3f}" if one.matches else "-",
        f"{one.low:.3f}-{one.high:.3f}",
    )
