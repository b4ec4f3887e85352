"""Output of commands: tables, JSON lines, and progress bars.

Progress bars go to standard error, and only to a terminal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeAlias, TypeVar

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

Item = TypeVar("Item", bound=BaseModel)
Columns: TypeAlias = Mapping[str, Callable[[Item], str]]  # by heading

STAGES = {
    "upload": "sending",
    "queued": "waiting",
    "source": "fetching",
    "decode": "decoding",
    "embed": "embedding",
    "retrieve": "searching",
    "rerank": "comparing",
    "verify": "comparing pixels",
    "register": "registering",
}


def print_json(item: BaseModel | Mapping[str, object]) -> None:
    value = item.model_dump(mode="json") if isinstance(item, BaseModel) else item
    typer.echo(json.dumps(value, ensure_ascii=False))


def print_table(headings: Iterable[str], rows: Iterable[Sequence[str]]) -> None:
    """Prints a table with columns as wide as their content, at most as wide as the terminal."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*row)
    width = None if sys.stdout.isatty() else 240
    Console(width=width, highlight=False, markup=False).print(table)


def print_items(items: Iterable[Item], columns: Columns[Item], *, as_json: bool) -> None:
    """A JSON object for each item, or a table."""
    if as_json:
        for item in items:
            print_json(item)
    else:
        print_table(columns, [[shown(item) for shown in columns.values()] for item in items])


def moment(time: str) -> str:
    """A time (ISO 8601) as tables show it, to the second."""
    return time[:19].replace("T", " ")


class Bar:
    """Progress of one piece of work among many."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task
        self._done = 0

    @property
    def shown(self) -> bool:
        return not self._progress.disable

    def begin(self, name: str) -> None:
        self._progress.update(self._task, description=name, stage="sending")

    def stage(self, stage: str, share: float) -> None:
        shown = STAGES.get(stage, stage)
        self._progress.update(self._task, completed=self._done + share, stage=shown)

    def end(self) -> None:
        self._done += 1
        self._progress.update(self._task, completed=self._done, stage="")


@contextmanager
def progress_bar(total: int) -> Iterator[Bar]:
    """A progress bar over `total` pieces of work."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[stage]}"),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        yield Bar(progress, progress.add_task("", total=total, stage=""))


def seconds(start_s: float, end_s: float) -> str:
    return f"{start_s:.1f}-{end_s:.1f}"
