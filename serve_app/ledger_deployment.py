"""The deployment that holds the ledger."""

from __future__ import annotations

import asyncio

from dubl.engine.ledger import LedgerStep
from dubl.settings import Settings
from serve_app.log import use_serve_log
from serve_app.shell import ServeShell

# Seconds. A replica that is being replaced holds the file until it has answered what it was asked.
HAND_OVER_S = 120.0


class Ledger(LedgerStep):
    """The ledger's deployment. DuckDB allows one writing process, so there is one replica."""

    async def __init__(self, settings: Settings) -> None:  # type: ignore[misc]  # Serve awaits it
        use_serve_log()
        opening = super().__init__
        await asyncio.to_thread(opening, settings, ServeShell(), patience_s=HAND_OVER_S)
        self.start()

    def __del__(self) -> None:
        """Serve calls this when it stops the replica regularly."""
        if hasattr(self, "_ledger"):
            self.ship()
