"""`make demo`: registration and checks from end to end, with the real service.

Generates clips (or takes a folder of videos), edits some of them, indexes the library with the Ray
Data job, and starts the service. It checks all edited copies and strangers over HTTP, prints the
answers, and fails if one is wrong.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from dubl.client.client import Client
from dubl.client.errors import ClientError
from dubl.contract.bodies import Check, Segment
from dubl.errors import DublError, InvalidRequest
from dubl.evaluation.attack_suite import SuiteOptions, write_suite
from dubl.evaluation.suite import (
    QUERIES,
    REFERENCES,
    SuiteRoles,
    TrueQuery,
    draw_roles,
    find_videos,
    load_truth,
)
from dubl.footage.scenes import generate_library
from pipelines.cli.show import print_table, seconds
from pipelines.local_server import running_server

EDITS = (
    "recode:0.4",
    "scale:0.5",
    "trim:0.5",
    "crop:0.4",
    "letterbox:0.4",
    "color:0.5",
    "logo:0.5",
)
SEED = 7
CLIPS = 12
STRANGERS = 4
WAIT_S = 120
END_TOLERANCE_S = 1.5
HEADING = (
    "query",
    "edit",
    "verdict",
    "reference",
    "query s",
    "reference s",
    "similarity",
    "time s",
    "",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One query with its truth, its answer, and the seconds it took."""

    name: str
    truth: TrueQuery
    answer: Check
    seconds: float

    @property
    def undecided(self) -> bool:
        """Whether a stranger goes to review: neither right nor wrong."""
        return not self.truth.matches and self.answer.outcome == "review"

    @property
    def wrong(self) -> str:
        """The error of the answer; empty if it is right."""
        answer, wanted = self.answer, self.truth.matches
        if not wanted:
            return "a stranger was called a duplicate" if answer.outcome == "duplicate" else ""
        if answer.outcome != "duplicate":
            return f"a copy was called {answer.outcome}"
        if answer.matches[0].reference_id != wanted[0].reference:
            return f"the copy is of {wanted[0].reference}"
        if not any(_agrees(segment, self.truth) for segment in answer.matches[0].segments):
            return f"the seconds are {wanted[0].q} of {wanted[0].r}"
        return ""


def _agrees(segment: Segment, truth: TrueQuery) -> bool:
    found = (
        segment.query_start_s,
        segment.query_end_s,
        segment.reference_start_s,
        segment.reference_end_s,
    )
    return any(
        all(
            abs(have - want) <= END_TOLERANCE_S
            for have, want in zip(found, (*match.q, *match.r), strict=True)
        )
        for match in truth.matches
    )


def main(
    videos: Annotated[Path | None, typer.Option(help="use these videos")] = None,
    folder: Annotated[Path, typer.Option(help="output folder; emptied first")] = Path("demo"),
    clips: Annotated[int, typer.Option(help="number of generated clips")] = CLIPS,
) -> None:
    """Exits with 1 if an answer is wrong, with 2 if the demo cannot run."""
    shutil.rmtree(folder, ignore_errors=True)
    suite = folder / "suite"
    try:
        with _step("making queries"):
            roles = _own_roles(videos) if videos is not None else _generated_roles(folder, clips)
            write_suite(suite, roles, options=SuiteOptions(edits=EDITS, per_reference=1, seed=SEED))
        with _step("indexing the library with Ray Data"):
            _index(suite / REFERENCES, folder / "data")
        with ExitStack() as stack:
            with _step("starting the service"):
                address = stack.enter_context(running_server(folder / "data"))
            asked = list(_asked(address, suite))
    except (DublError, ClientError, RuntimeError) as exc:
        typer.echo(f"the demo cannot run: {exc}", err=True)
        raise typer.Exit(code=2) from exc
    _report(asked)
    if any(item.wrong for item in asked):
        raise typer.Exit(code=1)


def _generated_roles(folder: Path, clips: int) -> SuiteRoles:
    made = generate_library(folder / "clips", count=clips, seed=SEED)
    return SuiteRoles(references=tuple(made[:-STRANGERS]), strangers=tuple(made[-STRANGERS:]))


def _own_roles(videos: Path) -> SuiteRoles:
    found = find_videos(videos)
    if len(found) < 2:
        raise InvalidRequest(f"{videos} has {len(found)} videos; the demo needs at least two")
    return draw_roles(found, stranger_share=max(0.3, 1 / len(found)), negative_share=0, seed=SEED)


def _index(references: Path, data: Path) -> None:
    command = [sys.executable, "-m", "pipelines.index_archive", str(references)]
    log = data.parent / "index.log"
    with log.open("wb") as stream:
        done = subprocess.run(
            [*command, "--data", str(data)], stdout=stream, stderr=stream, check=False
        )
    if done.returncode:
        raise RuntimeError(f"indexing failed:\n{log.read_text(errors='replace')}")


def _asked(address: str, suite: Path) -> Iterator[Asked]:
    truth = load_truth(suite)
    with Client(address) as client:
        for name, query in truth.queries.items():
            started = time.perf_counter()
            answer = client.check(suite / QUERIES / name, timeout_s=WAIT_S)
            took_s = time.perf_counter() - started
            yield Asked(name=name, truth=query, answer=answer, seconds=took_s)


def _report(asked: Sequence[Asked]) -> None:
    print_table(HEADING, map(_row, asked))
    undecided = sum(item.undecided for item in asked)
    right = sum(not item.wrong for item in asked) - undecided
    left = f", {undecided} left to a person" if undecided else ""
    typer.echo(f"\n{right} of {len(asked)} answers are right{left}")


def _row(item: Asked) -> tuple[str, ...]:
    mark = f"WRONG: {item.wrong}" if item.wrong else "a person decides" if item.undecided else "ok"
    base = (item.name, item.truth.attack, item.answer.outcome)
    if not item.answer.matches:
        return (*base, "-", "-", "-", "-", f"{item.seconds:.1f}", mark)
    match = item.answer.matches[0]
    times = ("-", "-")
    if match.segments:
        best = match.segments[0]
        times = (
            seconds(best.query_start_s, best.query_end_s),
            seconds(best.reference_start_s, best.reference_end_s),
        )
    similarity = f"{match.similarity:.2f}"
    return (*base, match.reference_id, *times, similarity, f"{item.seconds:.1f}", mark)


@contextmanager
def _step(title: str) -> Iterator[None]:
    started = time.perf_counter()
    typer.echo(f"{title} …", nl=False)
    yield
    typer.echo(f" {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    typer.run(main)
