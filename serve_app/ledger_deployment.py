"""The deployment that holds the ledger, and takes care of what a crash may leave behind."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from dubl.assembly import make_ledger
from dubl.errors import StoreHeld
from dubl.ledger.ledger import Ledger as LedgerFile
from dubl.settings import Settings
from serve_app.log import use_serve_log
from serve_app.reconciler import Reconciler

Result = TypeVar("Result")

# A replica that is being replaced holds the file until it has answered what it was asked.
HAND_OVER_S = 120.0
RETRY_S = 0.2

logger = logging.getLogger(__name__)


class Ledger:
    """Jobs, verdicts and deliveries. DuckDB knows one writing process: there is one replica.

    Called through LedgerClient, which names methods by their functions.
    """

    async def __init__(self, settings: Settings) -> None:  # type: ignore[misc]  # Serve awaits it
        use_serve_log()
        self._ledger = await open_ledger(settings)
        self._reconciler = Reconciler(self._ledger, settings)
        self._reconciling = asyncio.create_task(self._reconciler.run())

    async def ask(
        self,
        method: Callable[..., Result],
        args: Sequence[object],
        kwargs: Mapping[str, object],
    ) -> Result:
        return await asyncio.to_thread(method, part_of(self._ledger, method), *args, **kwargs)

    async def ready(self) -> bool:
        return True


async def open_ledger(settings: Settings, *, patience_s: float = HAND_OVER_S) -> LedgerFile:
    """Waits for whoever holds it. Raises StoreHeld when that takes longer than `patience_s`."""
    give_up_at = time.monotonic() + patience_s
    while True:
        try:
            return await asyncio.to_thread(make_ledger, settings)
        except StoreHeld as exc:
            if time.monotonic() >= give_up_at:
                raise
            logger.info("waiting for the ledger: %s", exc.detail)
        await asyncio.sleep(RETRY_S)


def part_of(ledger: LedgerFile, method: Callable[..., object]) -> object:
    """The part of the ledger whose method it is."""
    parts = (ledger, ledger.jobs, ledger.outbox, ledger.keys, ledger.reviews)
    owner = method.__qualname__.partition(".")[0]
    return next(part for part in parts if type(part).__name__ == owner)
