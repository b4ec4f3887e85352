"""What the program around the engine adds: metrics, traces, the state of deployments.

The base adds nothing, for an engine in one process. serve_app/shell.py is that of Ray Serve.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Literal

from dubl.types import IndexHealth, Job, Quarantine, Verdict, VideoFacts

if TYPE_CHECKING:
    from dubl.ledger.backlog import Backlog


class Shell:
    """Receives events of steps, jobs and routes."""

    def count_job(self, job: Job) -> None:
        """Counts a finished job."""

    def count_retry(self, code: str) -> None:
        """Counts an attempt that failed with this error and will be repeated."""

    def count_verdict(self, verdict: Verdict) -> None: ...

    def count_shadow(self, result: Literal["agrees", "differs", "failed"]) -> None: ...

    def count_input(self, facts: VideoFacts) -> None:
        """Counts a decoded video."""

    def count_candidates(self, number: int) -> None:
        """Counts the references found by a retrieval."""

    def show_backlog(self, backlog: Backlog) -> None: ...

    def show_quarantines(self, found: Sequence[Quarantine]) -> None: ...

    def show_snapshot(self, shipped_at: float) -> None: ...

    def show_index(self, health: IndexHealth, *, references: int, kept_up_at: float) -> None: ...

    def request_id(self) -> str:
        """Id of the current request; empty without one."""
        return ""

    def traceparent(self) -> str:
        """The W3C header of the current span; empty without tracing."""
        return ""

    def called(self, step: str, method: str) -> AbstractContextManager[None]:
        """Around a call of a step in this process."""
        del step, method
        return nullcontext()

    def continued(self, job: Job) -> AbstractContextManager[None]:
        """Assigns log lines and spans of the block to the request behind the job."""
        del job
        return nullcontext()

    def messages(self) -> Mapping[str, str]:
        """The reasons why steps are not ready, by name."""
        return {}

    async def metrics(self) -> str:
        """All metrics in Prometheus' text format."""
        return ""


NO_SHELL = Shell()
