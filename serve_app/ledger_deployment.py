"""The deployment that holds the ledger, and takes care of what a crash may leave behind."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import TypeVar

from dubl.assembly import feature_spec, make_ledger, make_snapshots, space_settings
from dubl.errors import ConfigurationError, DublError, StoreHeld, StoreUnavailable
from dubl.ledger.ledger import Ledger as LedgerFile
from dubl.settings import Settings
from serve_app.log import use_serve_log
from serve_app.metrics import TELL_S, show_backlog, show_quarantines, show_snapshot
from serve_app.reconciler import Reconciler

Result = TypeVar("Result")

logger = logging.getLogger(__name__)

# A replica that is being replaced holds the file until it has answered what it was asked.
HAND_OVER_S = 120.0
RETRY_S = 0.2


class Ledger:
    """Jobs, verdicts and deliveries. DuckDB knows one writing process: there is one replica.

    Called through LedgerClient, which names methods by their functions.
    """

    async def __init__(self, settings: Settings) -> None:  # type: ignore[misc]  # Serve awaits it
        use_serve_log()
        # The ledger's threads take turns, and DuckDB keeps memory for each that ever asked.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._snapshots = make_snapshots(settings)
        self._shipped_at: float | None = None
        self._ledger = await open_ledger(settings)
        require_answering(self._ledger, settings)
        self._shipping = asyncio.create_task(self._ship_each(settings.ledger.snapshot_interval_s))
        self._reconciler = Reconciler(self._ledger, settings)
        self._reconciling = asyncio.create_task(self._reconciler.run())
        self._telling = asyncio.create_task(self._tell())

    async def ask(
        self,
        method: Callable[..., Result],
        args: Sequence[object],
        kwargs: Mapping[str, object],
    ) -> Result:
        return await self._asked(method, part_of(self._ledger, method), *args, **kwargs)

    async def _asked(
        self, method: Callable[..., Result], *args: object, **kwargs: object
    ) -> Result:
        asked = partial(copy_context().run, method, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._thread, asked)

    def __del__(self) -> None:
        """Serve calls it when it stops the replica in peace."""
        if hasattr(self, "_ledger"):
            self._ship()

    def _ship(self) -> None:
        if self._snapshots is None:
            return
        try:
            self._snapshots.ship(self._ledger)
            self._shipped_at = time.time()
        except DublError as exc:
            logger.error("no snapshot of the ledger, to be tried again: %s", exc.detail)
        except Exception:  # a disk that is full now; the loop must outlive it
            logger.exception("no snapshot of the ledger, to be tried again")

    async def _ship_each(self, interval_s: float) -> None:
        while self._snapshots is not None:
            await asyncio.to_thread(self._ship)
            await asyncio.sleep(interval_s)

    async def ready(self) -> bool:
        await self._asked(self._ledger.backlog)
        return True

    async def _tell(self) -> None:
        """Metrics of the backlog, of quarantines and of the newest snapshot."""
        while True:
            if self._shipped_at is not None:
                show_snapshot(self._shipped_at)
            try:
                show_backlog(await self._asked(self._ledger.backlog))
                show_quarantines(await self._asked(self._ledger.guard.list))
            except StoreUnavailable as exc:
                logger.error("no metrics of accepted work: %s", exc.detail)
            await asyncio.sleep(TELL_S)


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


def require_answering(ledger: LedgerFile, settings: Settings) -> None:
    """Raises ConfigurationError where the feature space that answers is not in service."""
    current = ledger.spaces.current()
    known = [feature_spec(each).space_id for each in space_settings(settings)]
    if current not in ("", *known):
        raise ConfigurationError(
            f"feature space '{current}' answers, and is neither that of model.weights nor that of "
            "candidate.weights: name its weights in one of them, and switch or roll back first "
            "where another one is to answer"
        )


def part_of(ledger: LedgerFile, method: Callable[..., object]) -> object:
    """The part of the ledger whose method it is."""
    parts = (
        ledger,
        ledger.jobs,
        ledger.outbox,
        ledger.keys,
        ledger.reviews,
        ledger.guard,
        ledger.policies,
        ledger.spaces,
    )
    owner = method.__qualname__.partition(".")[0]
    return next(part for part in parts if type(part).__name__ == owner)
