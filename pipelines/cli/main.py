"""Commands that are imported only when they run: `dubl --help` loads none of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from dubl.errors import needs_extra

if TYPE_CHECKING:  # typer's own copy of click
    from typer._click.core import Command, Context
    from typer._click.shell_completion import CompletionItem


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A command in the list, with its help text.

    `place`: `module:name` of a function or a Typer.
    """

    name: str
    place: str
    help: str
    panel: str


class LazyCommand(TyperCommand):
    """A placeholder in the list for a command that is not imported yet."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(entry.name, help=entry.help, rich_help_panel=entry.panel)
        self._entry = entry

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: Context | None = None,
        **extra: object,
    ) -> Context:
        return self._loaded().make_context(info_name, args, parent=parent, **extra)

    def shell_complete(self, ctx: Context, incomplete: str) -> list[CompletionItem]:
        return self._loaded().shell_complete(ctx, incomplete)

    def _loaded(self) -> Command:
        from pipelines.cli.options import printed_errors  # loads settings

        module, _, attribute = self._entry.place.partition(":")
        with printed_errors(), needs_extra():
            found = getattr(import_module(module), attribute)
        if isinstance(found, typer.Typer):
            return get_command(found)
        alone = typer.Typer(add_completion=False)
        alone.command(self._entry.name)(found)
        return get_command(alone)


def lazy_group(entries: Sequence[Entry]) -> type[TyperGroup]:
    """A group of these commands, in this order."""
    commands: dict[str, Command] = {entry.name: LazyCommand(entry) for entry in entries}

    class LazyGroup(TyperGroup):
        def list_commands(self, _ctx: Context) -> list[str]:
            return list(commands)

        def get_command(self, _ctx: Context, cmd_name: str) -> Command | None:
            return commands.get(cmd_name)

    return LazyGroup


# Commands by panel: where each lies, and its help in the list.
PANELS = {
    "Videos": {
        "check": (
            "pipelines.cli.check:check",
            "Checks whether videos copy a reference of the library.",
        ),
        "compare": (
            "pipelines.cli.compare:compare",
            "Compares two videos, and tells why one is a copy of the other, or not.",
        ),
        "fingerprint": (
            "pipelines.cli.fingerprint:fingerprint",
            "Makes files that are checked in place of videos.",
        ),
        "references": (
            "pipelines.cli.references:references_app",
            "The library: add, list, show, edit, delete.",
        ),
        "search": ("pipelines.cli.references:search", "Finds references by text or by a picture."),
        "index": (
            "pipelines.index_archive:main",
            "Registers an archive of any size with Ray Data.",
        ),
        "tidy": (
            "pipelines.tidy_archive:main",
            "Links, moves or deletes copies of files, with a plan first and a journal.",
        ),
        "dedupe": ("pipelines.dedupe_archive:main", "Finds the duplicates inside a library."),
    },
    "People": {
        "reviews": ("pipelines.cli.reviews:reviews_app", "The review queue, and decisions."),
        "calibrate": (
            "pipelines.cli.reviews:calibrate",
            "Fits a library's thresholds to review decisions.",
        ),
        "report": (
            "pipelines.cli.report:report",
            "Reports duplicates, decisions and errors over time, as a page and as data.",
        ),
    },
    "Models": {
        "weights": ("pipelines.cli.weights:weights_app", "Published weights of the ViSiL family."),
        "evaluate": ("pipelines.evaluate:main", "Measures the quality of a model on a data set."),
    },
    "Operation": {
        "serve": ("pipelines.cli.serve:serve", "Starts the service on this machine."),
        "demo": ("pipelines.demo:main", "Shows registration and checks from end to end."),
        "doctor": ("pipelines.cli.doctor:doctor", "Finds problems of an installation."),
        "jobs": ("pipelines.cli.jobs:jobs_app", "Jobs of a service: list, cancel, queue again."),
        "checks": (
            "pipelines.cli.checks:checks_app",
            "Finished checks: list, delete, legal holds.",
        ),
        "erase": (
            "pipelines.cli.erase:erase",
            "Removes all that is stored of a check, a reference, a name or a hash.",
        ),
        "spaces": (
            "pipelines.cli.spaces:spaces_app",
            "Feature spaces of a service: compare, switch, roll back.",
        ),
        "keys": ("pipelines.cli.keys:keys_app", "API keys: create, list, revoke; what was done."),
        "ledger": ("pipelines.cli.ledger:ledger_app", "The ledger: copy it to another engine."),
        "backup": ("pipelines.cli.backup:backup", "Copies library, ledger and unfinished uploads."),
        "restore": ("pipelines.cli.backup:restore", "Restores a back-up into a data folder."),
    },
}
ENTRIES = [
    Entry(name=name, place=place, help=about, panel=panel)
    for panel, commands in PANELS.items()
    for name, (place, about) in commands.items()
]

app = typer.Typer(
    cls=lazy_group(ENTRIES), no_args_is_help=True, help="Find copies of videos.", name="dubl"
)


@app.callback()
def main() -> None:
    """Find copies of videos."""
