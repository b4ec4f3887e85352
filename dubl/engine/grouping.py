"""Group commit: items that arrive during a write are written together after it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_GROUP = 64  # items of one write; chosen


class Grouped(Generic[Item, Result]):
    """Writes groups of at most MAX_GROUP items, one after the other.

    `write` returns a result for each item. If it fails for a group, the items are written one by
    one, so only the faulty one fails.
    """

    def __init__(self, write: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]]) -> None:
        self._write = write
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._task: asyncio.Task[None] | None = None

    async def add(self, item: Item) -> Result:
        """Returns after the item was written. Cancelling the caller does not stop the write."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write_all())
        return await future

    async def _write_all(self) -> None:
        while self._waiting:
            group = self._waiting[:MAX_GROUP]
            del self._waiting[:MAX_GROUP]
            await self._write_group([one for one in group if not one[1].cancelled()])

    async def _write_group(self, group: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        if not group:
            return
        try:
            results = await self._write([item for item, _ in group])
        except Exception as exc:  # noqa: BLE001  # the caller's to handle
            if len(group) > 1:
                for one in group:
                    await self._write_group([one])
            elif not group[0][1].done():
                group[0][1].set_exception(exc)
            return
        for (_, future), result in zip(group, results, strict=True):
            if not future.done():
                future.set_result(result)
