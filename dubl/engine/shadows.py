"""Shadow traffic: a share of checks is answered by the other feature space too, for comparison."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

from dubl.engine.flow import Flow, Question
from dubl.engine.ledger import LedgerClient
from dubl.engine.shell import Shell
from dubl.errors import DublError
from dubl.ledger.clock import utc_now
from dubl.ledger.spaces import Spaces
from dubl.matching.decision import agree
from dubl.types import Check, Job, Shadow, VideoSource

logger = logging.getLogger(__name__)

# Shadows of one process at a time; chosen. Further checks have none, to spare a busy service.
MAX_AT_ONCE = 2


class Shadows:
    """Shadows start when a check is in the ledger. Callers never wait for them, and errors are only
    logged.

    `share`: share of checks with a shadow.
    """

    def __init__(self, *, flow: Flow, ledger: LedgerClient, share: float, shell: Shell) -> None:
        self._flow = flow
        self._ledger = ledger
        self._share = share
        self._shell = shell
        self._running: dict[str, asyncio.Task[None]] = {}

    def begin(self, job: Job, source: VideoSource, question: Question, check: Check) -> None:
        if random.random() >= self._share:
            return
        if len(self._running) >= MAX_AT_ONCE:
            return
        task = asyncio.create_task(self._compare(job, source, question, check))
        self._running[job.id] = task
        task.add_done_callback(lambda _: self._running.pop(job.id, None))

    async def removed(self, job: Job, remove: Callable[[], None]) -> None:
        """Removes a file of the job after its shadow, if any, has read it."""
        task = self._running.get(job.id)
        if task is None:
            await asyncio.to_thread(remove)
            return
        loop = asyncio.get_running_loop()
        task.add_done_callback(lambda _: loop.run_in_executor(None, remove))

    async def _compare(
        self, job: Job, source: VideoSource, question: Question, check: Check
    ) -> None:
        try:
            space, verdict = await self._flow.shadow(source, question, space_id=job.space_id)
            shadow = Shadow(
                check_id=check.id,
                space_id=space.id,
                model_id=verdict.model_id,
                outcome=verdict.outcome,
                probability=verdict.probability,
                top_reference_id=verdict.matches[0].reference_id if verdict.matches else "",
                agrees=agree(check.verdict, verdict),
                created_at=utc_now(),
            )
            await self._ledger.ask(Spaces.record_shadow, shadow)
            self._shell.count_shadow("agrees" if shadow.agrees else "differs")
        except DublError as exc:
            logger.warning("check %s has no shadow: %s: %s", check.id, exc.code, exc.detail)
            self._shell.count_shadow("failed")
        except Exception:
            logger.exception("check %s has no shadow", check.id)
            self._shell.count_shadow("failed")
