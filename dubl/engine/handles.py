"""The port of steps: `handle.method.remote(*arguments)` returns a response.

A response can be awaited, cancelled, or passed on to the next step unawaited. There are two kinds
of handles: Ray Serve's, wrapped in serve_app/handles.py, and `LocalHandle` for objects in this
process.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import copy_context
from functools import cached_property, partial
from typing import Any, ParamSpec, Protocol, TypeVar

from dubl.engine.shell import NO_SHELL, Shell
from dubl.errors import ServiceInterrupted

OnStage = Callable[[str], None]  # called with the name of a stage that begins

P = ParamSpec("P")
R = TypeVar("R")

# Seconds. Nobody sees the stages of a job that is over before the first of them.
FIRST_LOOK_S = 0.25

# Of one step at most. They mostly wait: for processes that decode, the disk, one another.
STEP_THREADS = 32


class Response(Protocol):
    """The present or future result of a call. Awaiting it raises the step's DublError."""

    def __await__(self) -> Generator[Any, None, Any]: ...

    def cancel(self) -> None:
        """Stops unfinished work."""
        ...

    async def settled(self) -> None:
        """Returns when there is a result or an error, without fetching it."""
        ...


class Method(Protocol):
    """A method of a step."""

    def remote(self, *arguments: object) -> Response:
        """Calls the method. Arguments may be responses: the step gets their results."""
        ...


class Handle(Protocol):
    """A step, in any process. Its methods are found by name."""

    def __getattr__(self, name: str) -> Method: ...


class Step:
    """What every step has besides its work. Methods of steps are coroutines.

    A step has threads of its own, so that one that is held up holds up no other one in its process.
    """

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(STEP_THREADS, thread_name_prefix=type(self).__name__.lower())

    async def in_thread(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What `call` returns, which may block."""
        run = partial(copy_context().run, call, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._threads, run)

    def start(self) -> None:
        """Starts background work in the running loop."""

    async def ready(self) -> bool:
        """Whether calls are answered."""
        return True

    async def close(self) -> None:
        """Ends processes, files, threads and background work."""
        self._threads.shutdown(wait=False)


@asynccontextmanager
async def followed(stages: Mapping[str, Response], on_stage: OnStage) -> AsyncIterator[None]:
    """Reports each stage that begins, in order, while the block runs.

    If the block ends with an error or a cancellation, unfinished responses are cancelled.
    """
    watching = asyncio.create_task(_watch(stages, on_stage))
    try:
        yield
    except BaseException:
        for response in stages.values():
            response.cancel()
        raise
    finally:
        watching.cancel()


async def _watch(stages: Mapping[str, Response], on_stage: OnStage) -> None:
    await asyncio.sleep(FIRST_LOOK_S)
    for stage, response in stages.items():
        on_stage(stage)
        await response.settled()


class LocalStep:
    """A step in this process, created in a thread at its first call.

    With `background` it also starts its background work then. `shell` sees calls under `name`.
    """

    def __init__(
        self,
        make: Callable[[], Step],
        *,
        background: bool = False,
        name: str = "",
        shell: Shell = NO_SHELL,
    ) -> None:
        self._make = make
        self._background = background
        self._name = name
        self._shell = shell
        self._lock = asyncio.Lock()
        self._step: Step | None = None
        self._closed = False
        self._calls: set[asyncio.Task[object]] = set()

    async def made(self) -> Step:
        """Raises ServiceInterrupted after `close`: a late call must not open files again."""
        async with self._lock:
            if self._closed:
                raise ServiceInterrupted("the service is stopping")
            if self._step is None:
                self._step = await asyncio.to_thread(self._make)
                if self._background:
                    self._step.start()
            return self._step

    async def call(self, name: str, arguments: tuple[object, ...]) -> object:
        values = [await one if inspect.isawaitable(one) else one for one in arguments]
        step = await self.made()
        with self._shell.called(self._name, name):
            return await getattr(step, name)(*values)

    async def close(self) -> None:
        """Cancels running calls and closes the step. Calls that come meanwhile are refused."""
        self._closed = True
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
    """The handle of a LocalStep."""

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
