"""The step that holds the ledger, and its client.

    await ledger.ask(JobQueue.claim, limit=2, lease_s=20)

Methods are named by their functions, so type checkers check these calls.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

from dubl.assembly import feature_spec, make_ledger, make_snapshots, space_settings
from dubl.engine.handles import Handle, Step
from dubl.engine.librarian import TELL_S
from dubl.engine.reconciler import Reconciler
from dubl.engine.repeated import repeated
from dubl.engine.shell import NO_SHELL, Shell
from dubl.errors import (
    ConfigurationError,
    DublError,
    ServiceInterrupted,
    StoreHeld,
)
from dubl.ledger.api_keys import ApiKeys
from dubl.ledger.audit import Audit
from dubl.ledger.guard import Guard
from dubl.ledger.job_queue import JobQueue
from dubl.ledger.ledger import Ledger
from dubl.ledger.outbox import Outbox
from dubl.ledger.policies import Policies
from dubl.ledger.retention import Retention
from dubl.ledger.reviews import Reviews
from dubl.ledger.spaces import Spaces
from dubl.settings import Settings

Part = TypeVar(
    "Part", ApiKeys, Audit, Guard, JobQueue, Ledger, Outbox, Policies, Retention, Reviews, Spaces
)
P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger(__name__)

# Seconds between attempts to open a ledger that is held, or to reach one that is away.
RETRY_S = 0.5


class LedgerClient:
    """`patience_s`: seconds to wait for a lost replica of the ledger.

    Only for callers whose calls may safely be repeated.
    """

    def __init__(self, handle: Handle, *, patience_s: float = 0.0) -> None:
        self._handle = handle
        self._patience_s = patience_s

    async def ask(
        self, method: Callable[Concatenate[Part, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        give_up_at = time.monotonic() + self._patience_s
        while True:
            try:
                result: R = await self._handle.ask.remote(method, args, kwargs)
                return result
            except ServiceInterrupted:
                if time.monotonic() >= give_up_at:
                    raise
            logger.warning("the ledger is not reachable; retrying")
            await asyncio.sleep(RETRY_S)


class LedgerStep(Step):
    """Jobs, verdicts and deliveries, in one replica: DuckDB allows one writing process.

    It is called through LedgerClient.
    """

    def __init__(
        self, settings: Settings, shell: Shell = NO_SHELL, *, patience_s: float = 0.0
    ) -> None:
        """Raises as open_ledger and require_answering do."""
        # Threads that ask DuckDB take turns, and it keeps memory for each that ever asked.
        shared = settings.ledger.url.get_secret_value()
        threads = settings.ledger.pool_size if shared else 1
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="ledger")
        self._shell = shell
        self._snapshots = make_snapshots(settings)
        self._ship_each_s = settings.ledger.snapshot_interval_s
        self._shipped_at: float | None = None
        self._ledger = open_ledger(settings, patience_s=patience_s)
        require_answering(self._ledger, settings)
        self._reconciler = Reconciler(self._ledger, settings)
        self._background: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._background = [
            asyncio.create_task(self._reconciler.run()),
            asyncio.create_task(
                repeated(self._tell, every_s=TELL_S, name="telling the state of the ledger")
            ),
        ]
        if self._snapshots is not None:
            shipping = partial(asyncio.to_thread, self.ship)
            self._background.append(
                asyncio.create_task(
                    repeated(shipping, every_s=self._ship_each_s, name="the ledger's snapshot")
                )
            )

    async def close(self) -> None:
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await asyncio.to_thread(self.let_go)

    def let_go(self) -> None:
        """Stores a last snapshot, if the service makes them, and closes the ledger."""
        if self._background:
            self.ship()
        self._threads.shutdown()
        self._ledger.close()

    async def ask(
        self,
        method: Callable[..., R],
        args: Sequence[object],
        kwargs: Mapping[str, object],
    ) -> R:
        asked = partial(copy_context().run, method, part_of(self._ledger, method), *args, **kwargs)
        # A copy takes seconds; others go on meanwhile.
        threads = None if method is Ledger.copy_to else self._threads
        return await asyncio.get_running_loop().run_in_executor(threads, asked)

    async def _asked(self, method: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        asked = partial(method, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._threads, asked)

    def ship(self) -> None:
        if self._snapshots is None:
            return
        try:
            self._snapshots.ship(self._ledger)
            self._shipped_at = time.time()
        except DublError as exc:
            logger.error("the snapshot of the ledger failed and will be retried: %s", exc.detail)
        except Exception:  # a disk that is full now; the loop must outlive it
            logger.exception("the snapshot of the ledger failed and will be retried")

    async def ready(self) -> bool:
        await self._asked(self._ledger.backlog)
        return True

    async def _tell(self) -> None:
        """Sets metrics of the backlog, of quarantines and of the newest snapshot."""
        if self._shipped_at is not None:
            self._shell.show_snapshot(self._shipped_at)
        self._shell.show_backlog(await self._asked(self._ledger.backlog))
        self._shell.show_quarantines(await self._asked(self._ledger.guard.list))


def open_ledger(settings: Settings, *, patience_s: float) -> Ledger:
    """Opens the ledger; waits for another holder. Raises StoreHeld after `patience_s`."""
    give_up_at = time.monotonic() + patience_s
    while True:
        try:
            return make_ledger(settings)
        except StoreHeld as exc:
            if time.monotonic() >= give_up_at:
                raise
            logger.info("waiting for the ledger: %s", exc.detail)
        time.sleep(RETRY_S)


def require_answering(ledger: Ledger, settings: Settings) -> None:
    """Raises ConfigurationError if the answering feature space is not in the settings."""
    current = ledger.spaces.current()
    known = [feature_spec(each).space_id for each in space_settings(settings)]
    if current not in ("", *known):
        raise ConfigurationError(
            f"feature space '{current}' answers, and is neither that of model.weights nor that of "
            "candidate.weights: name its weights in one of them, and switch or roll back first "
            "where another one is to answer"
        )


def part_of(ledger: Ledger, method: Callable[..., object]) -> object:
    """The part of the ledger that has the method."""
    parts = (
        ledger,
        ledger.jobs,
        ledger.outbox,
        ledger.keys,
        ledger.reviews,
        ledger.guard,
        ledger.policies,
        ledger.retention,
        ledger.audit,
        ledger.spaces,
    )
    owner = method.__qualname__.partition(".")[0]
    return next(part for part in parts if type(part).__name__ == owner)
