"""`dubl calibrate`: a library's own thresholds, from review decisions."""

from __future__ import annotations

from typing import Annotated

import typer

from dubl.contract.bodies import Calibration, Precision
from dubl.types import MIN_DECISIONS
from pipelines.cli.backends import Backend, on_backend
from pipelines.cli.options import AsJson
from pipelines.cli.show import print_json, print_table

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
