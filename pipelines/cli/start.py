"""Where the `dubl` command begins. It may lack everything but the client."""

from __future__ import annotations

import sys

from dubl.errors import ExtraMissing, needs_extra


def main() -> None:
    """Runs the command, or says in one line which extra it needs."""
    try:
        with needs_extra():
            from pipelines.cli.main import app
    except ExtraMissing as exc:
        sys.stderr.write(f"dubl: {exc.detail} All commands need 'dubl[serve]'.\n")
        sys.exit(2)
    app()
