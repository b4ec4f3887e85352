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
