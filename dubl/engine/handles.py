"""How the engine calls a step: `handle.method.remote(*arguments)` gives a response. It is awaited,
called off, or passed on to the next step unawaited.

Two kinds of handle exist. Ray Serve's are wrapped in serve_app/handles.py; a `LocalHandle` calls an
object in this process.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Generator
from typing import Any, Protocol


class Response(Protocol):
    """The result of a call, present or future. Awaiting it raises the step's DublError."""

    def __await__(self) -> Generator[Any, None, Any]: ...

    def cancel(self) -> None:
        """Stops the work, if it is still under way."""
        ...

    async def settled(self) -> None:
        """Returns when the result or the error is there; fetches neither."""
        ...


class Method(Protocol):
    """A method of a step."""

    def remote(self, *arguments: object) -> Response:
        """Calls it. Arguments may be responses: the step gets their results."""
        ...


class Handle(Protocol):
    """A step, wherever it runs. Its methods are found by name."""

    def __getattr__(self, name: str) -> Method: ...


class Step:
    """What every step has beside its work. Methods of steps are coroutines."""

    def start(self) -> None:
        """Begins work that goes on in the background, in the running loop."""

    async def ready(self) -> bool:
        """Whether calls are answered."""
        return True

    async def close(self) -> None:
        """Ends processes, files and background work."""


class LocalStep:
    """A step in this process. It is made, in a thread, when it is first called; with `background`
    it also begins its work in the background then."""

    def __init__(self, make: Callable[[], Step], *, background: bool = False) -> None:
        self._make = make
        self._background = background
        self._lock = asyncio.Lock()
        self._step: Step | None = None
        self._calls: set[asyncio.Task[object]] = set()

    async def made(self) -> Step:
        async with self._lock:
            if self._step is None:
                self._step = await asyncio.to_thread(self._make)
                if self._background:
                    self._step.start()
            return self._step

    async def call(self, name: str, arguments: tuple[object, ...]) -> object:
        values = [await one if inspect.isawaitable(one) else one for one in arguments]
        return await getattr(await self.made(), name)(*values)

    async def close(self) -> None:
        """Calls under way are cancelled."""
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        async with self._lock:
            if self._step is not None:
                await self._step.close()
            self._step = None

    def begin(self, name: str, arguments: tuple[object, ...]) -> asyncio.Task[object]:
        task = asyncio.create_task(self.call(name, arguments))
        self._calls.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[object]) -> None:
        self._calls.discard(task)
        if not task.cancelled():
            task.exception()  # an error in a response that nobody awaits is no news


class LocalHandle:
    """Calls a LocalStep."""

    def __init__(self, step: LocalStep) -> None:
        self._step = step

    def __getattr__(self, name: str) -> Method:
        return _LocalMethod(self._step, name)


class _LocalMethod:
    def __init__(self, step: LocalStep, name: str) -> None:
        self._step, self._name = step, name

    def remote(self, *arguments: object) -> Response:
        return _LocalResponse(self._step.begin(self._name, arguments))


class _LocalResponse:
    def __init__(self, task: asyncio.Task[object]) -> None:
        self._task = task

    def __await__(self) -> Generator[Any, None, Any]:
        return self._task.__await__()

    def cancel(self) -> None:
        self._task.cancel()

    async def settled(self) -> None:
        await asyncio.wait({self._task})
