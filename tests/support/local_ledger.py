"""A ledger in this process, behind the handle that Serve would give."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

from dubl.engine.ledger import part_of
from dubl.errors import ServiceInterrupted
from dubl.ledger.ledger import Ledger


class LocalLedger:
    """`lose_answers`: that many calls are done, and their answers lost with their replica."""

    def __init__(self, path: Path) -> None:
        self.ledger = Ledger(path)
        self.lose_answers = 0
        self.ask = SimpleNamespace(remote=self._ask)
        self.ready = SimpleNamespace(remote=self._ready)

    async def _ready(self) -> bool:
        return True

    async def _ask(
        self,
        method: Callable[..., object],
        args: Sequence[object],
        kwargs: Mapping[str, object],
    ) -> object:
        part = part_of(self.ledger, method)
        result = await asyncio.to_thread(method, part, *args, **kwargs)
        if self.lose_answers:
            self.lose_answers -= 1
            raise ServiceInterrupted("its replica was lost")
        return result
