"""`dubl serve`: replaces its process by `python -m serve_app.main`, with the same options."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.options import DATA


def serve(
    data: Annotated[Path, typer.Option(help="folder of the library and the ledger")] = DATA,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="port to listen on")] = 8000,
    config: Annotated[Path | None, typer.Option(help="settings file")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="section.key=value, may be repeated")
    ] = None,
) -> None:
    """Starts the service on this machine. Ctrl-C or SIGTERM stops it.

    A restart with the same data folder continues all accepted jobs.
    """
    command = [sys.executable, "-m", "serve_app.main", "--data", str(data), "--host", host]
    command += ["--port", str(port), *(["--config", str(config)] if config else [])]
    for override in overrides or []:
        command += ["--set", override]
    # Ray must be told to use token authentication before it is imported.
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    # The service replaces this process, so it gets all signals.
    os.execv(sys.executable, command)
