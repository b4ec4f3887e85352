"""The ledger, from other processes: `await ledger.ask(JobQueue.claim, limit=2, lease_s=20)`.

Methods are named by their functions, so that calls are checked like any other.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from ray.serve.handle import DeploymentHandle

from dubl.errors import ServiceInterrupted
from dubl.ledger.api_keys import ApiKeys
from dubl.ledger.guard import Guard
from dubl.ledger.job_queue import JobQueue
from dubl.ledger.ledger import Ledger
from dubl.ledger.outbox import Outbox
from dubl.ledger.policies import Policies
from dubl.ledger.reviews import Reviews
from dubl.ledger.spaces import Spaces
from serve_app.calls import answer

Part = TypeVar("Part", ApiKeys, Guard, JobQueue, Ledger, Outbox, Policies, Reviews, Spaces)
P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger(__name__)

RETRY_S = 0.5


class LedgerClient:
    """`patience_s`: how long a lost replica of the ledger is waited for. Only for callers whose
    calls may safely be made twice."""

    def __init__(self, handle: DeploymentHandle, *, patience_s: float = 0.0) -> None:
        self._handle = handle
        self._patience_s = patience_s

    async def ask(
        self, method: Callable[Concatenate[Part, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        give_up_at = time.monotonic() + self._patience_s
        while True:
            try:
                return await answer(self._handle.ask.remote(method, args, kwargs))
            except ServiceInterrupted:
                if time.monotonic() >= give_up_at:
                    raise
            logger.warning("the ledger is away; asking again")
            await asyncio.sleep(RETRY_S)
