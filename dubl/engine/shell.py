"""What the program around the engine adds: metrics, traces, the state of its deployments.

The base adds nothing; it serves where the engine runs in a process of its own. serve_app/shell.py
is that of Ray Serve.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Literal

from dubl.types import IndexHealth, Job, Quarantine, Verdict, VideoFacts

if TYPE_CHECKING:
    from dubl.ledger.backlog import Backlog


class Shell:
    """Steps, jobs and routes tell it what happens."""

    def count_job(self, job: Job) -> None:
        """A job has ended."""

    def count_retry(self, code: str) -> None:
        """An attempt failed with this error and will be made again."""

    def count_verdict(self, verdict: Verdict) -> None: ...

    def count_shadow(self, result: Literal["agrees", "differs", "failed"]) -> None: ...

    def count_input(self, facts: VideoFacts) -> None:
        """A video was decoded."""

    def count_candidates(self, number: int) -> None:
        """Retrieval found so many references."""

    def show_backlog(self, backlog: Backlog) -> None: ...

    def show_quarantines(self, found: Sequence[Quarantine]) -> None: ...

    def show_snapshot(self, shipped_at: float) -> None: ...

    def show_index(self, health: IndexHealth, *, references: int, kept_up_at: float) -> None: ...

    def request_id(self) -> str:
        """Of the request that is answered now; empty where there is none."""
        return ""

    def traceparent(self) -> str:
        """W3C's header for the current span; empty where nothing is traced."""
        return ""

    def continued(self, job: Job) -> AbstractContextManager[None]:
        """While the block runs, log lines and spans belong to the request behind the job."""
        del job
        return nullcontext()

    def messages(self) -> Mapping[str, str]:
        """Why a step does not answer, by its name."""
        return {}

    async def metrics(self) -> str:
        """All metrics in Prometheus' text format."""
        return ""


NO_SHELL = Shell()
