"""The engine in one process: the same steps, flow and jobs as the service, without Ray.

with InProcess(settings) as process:
    verdict = process.run(process.ask(source)).verdict
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, TypeVar

from dubl.assembly import make_space, space_settings
from dubl.closing import Closing
from dubl.engine.engine import Engine, make_engine
from dubl.engine.flow import Flow, Lane, Pass, Question, Steps
from dubl.engine.handles import LocalHandle, LocalStep, Method, Step
from dubl.engine.ledger import LedgerStep
from dubl.engine.librarian import Librarian
from dubl.engine.shell import NO_SHELL, Shell
from dubl.engine.steps import Decoder, Embedder, Reranker, Retriever
from dubl.rights.terms import ANYWHERE
from dubl.settings import Settings
from dubl.types import NO_PRIOR_DECISIONS, PriorDecisions, VideoSource

Result = TypeVar("Result")


class LocalSteps:
    """All steps of one data folder. Each is created at its first call, so listing a library loads
    no network.

    `background`: they also do the work that a service does between requests. `patience_s`: seconds
    to wait for a ledger that another process is about to let go.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        background: bool = False,
        shell: Shell = NO_SHELL,
        embedder: Callable[[Settings], Step] = Embedder,
        patience_s: float = 0.0,
    ) -> None:
        self._background = background
        self._shell = shell
        self._embedder = embedder
        self._made: list[LocalStep] = []
        ledger = partial(LedgerStep, settings, shell, patience_s=patience_s)
        self.steps = Steps(
            decoder=self._handle("Decoder", partial(Decoder, settings, shell)),
            lanes=tuple(self._lane(each) for each in space_settings(settings)),
            librarian=self._handle("Librarian", partial(Librarian, settings, shell)),
            ledger=self._handle("Ledger", ledger),
        )

    async def make(self) -> None:
        """Creates all steps now, at the same time. Raises as they do."""
        await asyncio.gather(*(step.made() for step in self._made))

    async def close(self) -> None:
        """Ends processes and background work, and closes files: the ledger last."""
        for step in self._made:
            await step.close()

    def _lane(self, settings: Settings) -> Lane:
        prefix = "Candidate" if settings.is_challenger else ""
        return Lane(
            space=make_space(settings),
            embedder=self._handle(f"{prefix}Embedder", partial(self._embedder, settings)),
            retriever=self._handle(f"{prefix}Retriever", partial(Retriever, settings, self._shell)),
            reranker=self._handle(f"{prefix}Reranker", partial(Reranker, settings)),
        )

    def _handle(self, name: str, make: Callable[[], Step]) -> LocalHandle:
        step = LocalStep(make, background=self._background, name=name, shell=self._shell)
        self._made.append(step)
        return LocalHandle(step)


class InProcess(Closing):
    """An engine with an event loop in a thread of its own, for blocking callers."""

    def __init__(self, settings: Settings) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="engine", daemon=True)
        self._thread.start()
        self._steps = LocalSteps(settings)
        self.steps = self._steps.steps
        self.flow = Flow(self.steps, settings)
        self.engine: Engine = make_engine(self.steps, settings)

    def run(self, coroutine: Coroutine[object, object, Result]) -> Result:
        """The result of a coroutine; an interrupt cancels it."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def call(self, method: Method, *arguments: object) -> Any:
        """The answer of a step."""

        async def answer() -> object:
            return await method.remote(*arguments)

        return self.run(answer())

    async def ask(
        self,
        source: VideoSource,
        *,
        libraries: Sequence[str] = (),
        exclude_ids: Sequence[str] = (),
    ) -> Pass:
        """A check against `libraries` (all, when empty) that no ledger knows of: nothing is kept of
        it."""
        prior: asyncio.Future[PriorDecisions] = asyncio.get_running_loop().create_future()
        prior.set_result(NO_PRIOR_DECISIONS)
        question = Question(
            libraries=libraries,
            exclude_ids=exclude_ids,
            registered_before="",
            prior=prior,
            context=ANYWHERE,
        )
        return await self.flow.answer(self.steps.lanes[0], source, question, lambda _: None)

    def close(self) -> None:
        """Cancels running work and closes the steps."""
        if not self._loop.is_running():
            return
        self.run(self._steps.close())
        self.run(_cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
