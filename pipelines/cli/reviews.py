"""`dubl reviews`: the review queue, and decisions. `dubl calibrate`: thresholds from decisions."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import typer

from dubl.contract.bodies import Calibration, Precision, Review, ReviewItem
from dubl.contract.queries import QueueFilters
from dubl.contract.requests import MAX_REVIEWS, ReviewsItem
from dubl.types import MIN_DECISIONS, Decision, QueueSort, ReviewState
from pipelines.cli.options import AsJson, Backend, Command, on_backend, print_warning, with_model
from pipelines.cli.show import Columns, moment, print_items, print_json, print_table

reviews_app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="The review queue, and decisions."
)
QUEUE: Columns[ReviewItem] = {
    "video": lambda one: one.query_name,
    "reference": lambda one: one.reference_id,
    "title": lambda one: one.title,
    "library": lambda one: one.library,
    "owner": lambda one: one.owner,
    "probability": lambda one: f"{one.probability:.2f}",
    "copied s": lambda one: f"{one.copied_s:.1f}",
    "state": lambda one: one.state,
    "check": lambda one: one.check_id,
}
HISTORY: Columns[Review] = {
    "when": lambda one: moment(one.created_at),
    "decision": lambda one: one.decision,
    "reviewer": lambda one: one.reviewer,
    "note": lambda one: one.note,
    "until": lambda one: moment(one.until or ""),
    "check": lambda one: one.check_id,
    "reference": lambda one: one.reference_id,
}


# Decisions that follow others, whatever these were.
FOLLOWING = frozenset(
    {
        Decision.DISPUTED,
        Decision.UPHELD,
        Decision.RELEASED,
        Decision.REOPENED,
        Decision.COMMENT,
    }
)


class Shown(StrEnum):
    """States by which the queue can be filtered."""

    OPEN = ReviewState.OPEN.value
    CONFIRMED = ReviewState.CONFIRMED.value
    REJECTED = ReviewState.REJECTED.value
    LICENSED = ReviewState.LICENSED.value
    DISPUTED = ReviewState.DISPUTED.value
    UPHELD = ReviewState.UPHELD.value
    RELEASED = ReviewState.RELEASED.value
    CLOSED = ReviewState.CLOSED.value
    ALL = "all"


def filtered(command: Command) -> Command:
    """Adds the options that select matches; the command gets them as its `filters`."""
    return with_model(command, "filters", QueueFilters, FILTERS)


FILTERS: Mapping[str, tuple[str, str]] = {
    "name": ("q", "in the upload's name, or the reference's id or title"),
    "outcome": ("outcome", "duplicate or review"),
    "library": ("library", "of the reference"),
    "owner": ("owner", "of the reference"),
    "channel": ("channel", "of the upload"),
    "modality": ("modality", "video, audio or both"),
    "decided-by": ("reviewer", "name of the reviewer of the latest decision"),
    "reference": ("reference_id", "of this reference"),
    "since": ("since", "UTC day or time: 2026-01-02, 2026-01-02T03"),
    "until": ("until", "to the end of this day or hour"),
    "min-probability": ("min_probability", "default: the review threshold"),
    "max-probability": ("max_probability", ""),
}


@reviews_app.command("queue")
@on_backend
@filtered
def queue(
    backend: Backend,
    filters: QueueFilters,
    state: Annotated[Shown, typer.Option()] = Shown.OPEN,
    sort: Annotated[QueueSort, typer.Option()] = QueueSort.NEWEST,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 50,
    as_json: AsJson = False,
) -> None:
    """Lists matches in one state. "doubtful": probabilities near one half first."""
    found = backend.review_queue(
        state="" if state is Shown.ALL else state.value, filters=filters, sort=sort, limit=limit
    )
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
    if_state: Annotated[
        ReviewState, typer.Option(help="an error if the match is in another state by now")
    ] = ReviewState.OPEN,
    force: Annotated[bool, typer.Option("--force", help="whatever the state is")] = False,
    until: Annotated[
        str, typer.Option(help="of a dispute: unanswered by then (UTC), it releases the match")
    ] = "",
    exclude: Annotated[
        bool, typer.Option("--exclude", help="with released: later copies of it do not count")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Adds a decision or a comment to the history of a match.

    Another person's decision is not overwritten, unless --if-state names it, or with --force.
    Disputes, and what answers them, follow other decisions.
    """
    free = force or decision in FOLLOWING
    entry = backend.review(
        check_id,
        reference_id,
        decision=decision.value,
        reviewer=reviewer,
        note=note,
        if_state="" if free else if_state.value,
        until=until,
        exclude=exclude,
    )
    if as_json:
        print_json(entry)
    else:
        typer.echo(f"{entry.decision}: {check_id} and {reference_id}")


@reviews_app.command("decide-all")
@on_backend
@filtered
def decide_all(
    backend: Backend,
    filters: QueueFilters,
    decision: Annotated[Decision, typer.Argument()],
    state: Annotated[Shown, typer.Option(help="of the matches to decide on")] = Shown.OPEN,
    reviewer: Annotated[str, typer.Option(help="name of the reviewer")] = "",
    note: Annotated[str, typer.Option()] = "",
    yes: Annotated[bool, typer.Option("--yes", help="decide; otherwise it only lists")] = False,
    as_json: AsJson = False,
) -> None:
    """Decides on all matches that the options select, at most 500; without --yes it lists them.

    To take it back: the same command with `reopened` and --state.
    """
    if state is Shown.ALL:
        raise typer.BadParameter("name one state", param_hint="--state")
    found = backend.review_queue(state=state.value, filters=filters, limit=MAX_REVIEWS)
    if not yes:
        print_items(found.items, QUEUE, as_json=as_json)
        typer.echo(f"{len(found.items)} matches. Add --yes to decide: {decision}.", err=True)
        return
    items = [
        ReviewsItem(
            check_id=one.check_id,
            reference_id=one.reference_id,
            decision=decision,
            if_state=ReviewState(one.state),
        )
        for one in found.items
    ]
    if not items:
        typer.echo("0 matches", err=True)
        return
    done = backend.review_many(items, reviewer=reviewer, note=note)
    if as_json:
        print_json(done)
    else:
        typer.echo(f"{decision}: {len(done.decided)} matches")
    for other in done.conflicts:
        print_warning(
            f"left as it is: {other.check_id} and {other.reference_id} are {other.state} by now, "
            f"by {other.reviewer or 'somebody'}"
        )
    if found.next_cursor:
        print_warning(f"there are more than {MAX_REVIEWS}. Run it again for the next ones.")


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
