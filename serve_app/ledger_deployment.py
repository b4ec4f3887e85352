"""The deployment that holds the ledger, and takes care of what a crash may leave behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from dubl.assembly import make_ledger
from dubl.ledger.api_keys import ApiKeys
from dubl.ledger.job_queue import JobQueue
from dubl.ledger.ledger import Ledger as LedgerFile
from dubl.ledger.outbox import Outbox
from dubl.ledger.reviews import Reviews
from dubl.settings import Settings
from serve_app.log import use_serve_log
from serve_app.reconciler import Reconciler

Result = TypeVar("Result")


class Ledger:
    """Jobs, verdicts and deliveries. DuckDB knows one writing process: there is one replica.

    Called through LedgerClient, which names methods by their functions.
    """

    async def __init__(self, settings: Settings) -> None:  # type: ignore[misc]  # Serve awaits it
        use_serve_log()
        self._ledger = await asyncio.to_thread(make_ledger, settings)
        self._reconciler = Reconciler(self._ledger, settings)
        self._reconciling = asyncio.create_task(self._reconciler.run())

    async def jobs(
        self,
        method: Callable[..., Result],
        args: Sequence[object],
        kwargs: Mapping[str, object],
    ) -> Result:
        assert method.__qualname__.startswith(JobQueue.__name__)
        return await asyncio.to_thread(method, self._ledger.jobs, *args, **kwargs)

    async def outbox(
        self,
        method: Callable[..., Result],
        args: Sequence[object],
        kwargs: Mapping[str, object],
    ) -> Result:
        assert method.__qualname__.startswith(Outbox.__name__)
        return await asyncio.to_thread(method, self._ledger.outbox, *args, **kwargs)

    async def checks(
        self,
        method: Callable[..., Result],
        args: Sequence[object],
        kwargs: Mapping[str, object],
    ) -> Result:
        assert method.__qualname__.startswith(LedgerFile.__name__)
        return await asyncio.to_thread(method, self._ledger, *args, **kwargs)

    async def keys(
        self,
        method: Callable[..., Result],
        args: Sequence[object],
        kwargs: Mapping[str, object],
    ) -> Result:
        assert method.__qualname__.startswith(ApiKeys.__name__)
        return await asyncio.to_thread(method, self._ledger.keys, *args, **kwargs)

    async def reviews(
        self,
        method: Callable[..., Result],
        args: Sequence[object],
        kwargs: Mapping[str, object],
    ) -> Result:
        assert method.__qualname__.startswith(Reviews.__name__)
        return await asyncio.to_thread(method, self._ledger.reviews, *args, **kwargs)

    async def ready(self) -> bool:
        return True
