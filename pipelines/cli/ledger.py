"""`dubl ledger`: where jobs, verdicts and decisions are stored."""

from __future__ import annotations

from typing import Annotated

import typer

from dubl.settings import load_settings
from pipelines.cli.options import Config, printed_errors

Source = Annotated[str, typer.Argument(metavar="FROM", help="a file, or a postgresql:// address")]
Target = Annotated[str, typer.Argument(metavar="TO", help="a new file, or an empty database")]

ledger_app = typer.Typer(no_args_is_help=True, help="The ledger: copy it to another engine.")


@ledger_app.callback()
def _group() -> None:
    """The ledger: copy it to another engine."""


@ledger_app.command()
def move(source: Source, target: Target, config: Config = None) -> None:
    """Copies a ledger to another engine, both ways. Stop the service first.

    The old ledger stays. Passwords belong in PGPASSWORD or ~/.pgpass: others see command lines.
    """
    from dubl.ledger.moving import copy_ledger

    with printed_errors():
        copy_ledger(source, target, load_settings(config).ledger)
        typer.echo(
            "copied. Set ledger.url (or ledger.path) to the new place and start the service."
        )
