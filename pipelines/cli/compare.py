"""`dubl compare`: why a video is a copy of another one, or why not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from dubl.contract.bodies import Evidence
from dubl.contract.names import plain_text
from pipelines.cli.check import EXITS
from pipelines.cli.options import AsJson, Backend, Backends, on_chosen_backend
from pipelines.cli.show import print_json, print_table, seconds

OTHER = "other"  # id of a second file, in a library of its own


@on_chosen_backend
def compare(
    backends: Backends,
    video: Annotated[str, typer.Argument(help="a file", metavar="VIDEO")],
    other: Annotated[str, typer.Argument(help="a reference's id, or a file", metavar="OTHER")],
    as_json: AsJson = False,
) -> None:
    """Compares a video with a reference, whatever a search would find, or with another file.

    Tells the segments, each piece of evidence, and the rule that holds the probability down, if
    any. A reference is compared by a check, which stays. Of two files nothing stays; they are
    compared in this process. Exit codes as those of `dubl check`, of this pair alone.
    """
    if not Path(video).is_file():
        raise typer.BadParameter(f"file '{plain_text(video)}' does not exist", param_hint="VIDEO")
    if Path(other).is_file():
        with _alone(backends, Path(other)) as backend:
            found = _compared(backend, video, OTHER)
    else:
        with backends.named() as backend:
            found = _compared(backend, video, other)
    if as_json:
        print_json(found)
    else:
        _print(found)
    raise typer.Exit(EXITS[found.outcome])


def _compared(backend: Backend, video: str, reference_id: str) -> Evidence:
    check = backend.check(video, reference_id=reference_id)
    return backend.get_evidence(check.id, reference_id)


@contextmanager
def _alone(backends: Backends, file: Path) -> Iterator[Backend]:
    """A library with this video alone, in a folder that does not stay."""
    with (
        TemporaryDirectory(prefix="dubl-") as folder,
        backends.alone(Path(folder)) as backend,
    ):
        backend.register(file, id=OTHER)
        yield backend


def _print(found: Evidence) -> None:
    policy = found.policy
    typer.echo(
        f"{found.outcome}, {found.probability:.3f}: a duplicate from "
        f"{policy.duplicate_probability:g} on, for review from {policy.review_probability:g} on"
    )
    if found.limit_reason:
        typer.echo(f"held down: {found.limit_reason}")
    for hint in found.hints:
        typer.echo(f"edit: {hint.kind} {hint.value:g}")
    rows = [
        (
            seconds(one.query_start_s, one.query_end_s),
            seconds(one.reference_start_s, one.reference_end_s),
            f"{one.similarity:.2f}",
        )
        for one in found.segments
    ]
    if rows:
        print_table(("video s", "other s", "similarity"), rows)
    else:
        typer.echo("no segment is alike")
    terms = [(one.name, f"{one.value:.3f}", f"{one.log_odds:+.2f}") for one in found.terms]
    print_table(("evidence", "value", "log-odds"), terms)
