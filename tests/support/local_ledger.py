"""A ledger in this process, behind the handle that Serve would give."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

from ray.exceptions import RayActorError

from dubl.ledger.ledger import Ledger


class LocalLedger:
    """`lose_answers`: that many calls are done, and their answers lost with their replica."""

    def __init__(self, path: Path) -> None:
        self.ledger = Ledger(path)
        self.lose_answers = 0
        self.jobs = SimpleNamespace(remote=self._caller(self.ledger.jobs))
        self.outbox = SimpleNamespace(remote=self._caller(self.ledger.outbox))
        self.checks = SimpleNamespace(remote=self._caller(self.ledger))

    def _caller(self, part: object) -> Callable[..., object]:
        async def call(
            method: Callable[..., object], args: Sequence[object], kwargs: Mapping[str, object]
        ) -> object:
            result = await asyncio.to_thread(method, part, *args, **kwargs)
            if self.lose_answers:
                self.lose_answers -= 1
                raise RayActorError
            return result

        return call
