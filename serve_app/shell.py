"""What Ray Serve adds to the engine: metrics, request ids and traces, the state of deployments.

Every replica imports this module, so the ingress imports what only it needs where it is used.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from ray import serve
from ray.serve.exceptions import RayServeException

from dubl.engine.shell import Shell
from dubl.errors import DublError
from dubl.types import Job
from serve_app import metrics
from serve_app.log import level_of

logger = logging.getLogger(__name__)

# Characters. Serve's messages go on with tracebacks, which are not for everybody.
MAX_MESSAGE = 300


class ServeShell(Shell):
    """The shell of a replica."""

    count_job = staticmethod(metrics.count_job)
    count_retry = staticmethod(metrics.count_retry)
    count_verdict = staticmethod(metrics.count_verdict)
    count_shadow = staticmethod(metrics.count_shadow)
    count_input = staticmethod(metrics.count_input)
    count_candidates = staticmethod(metrics.count_candidates)
    show_backlog = staticmethod(metrics.show_backlog)
    show_quarantines = staticmethod(metrics.show_quarantines)
    show_snapshot = staticmethod(metrics.show_snapshot)
    show_index = staticmethod(metrics.show_index)

    def request_id(self) -> str:
        from serve_app import origin

        return origin.current_request_id()

    def traceparent(self) -> str:
        from serve_app import origin

        return origin.current_traceparent()

    @contextmanager
    def called(self, step: str, method: str) -> Iterator[None]:
        """A span and a line in the log, as Serve makes them for calls between deployments."""
        from serve_app import origin

        began = time.perf_counter()
        with origin.span(f"{step} {method}"):
            try:
                yield
            except DublError as exc:
                logger.log(level_of(exc), "%s %s %s: %s", step, method, exc.code, exc.detail)
                raise
        logger.info("%s %s OK %.1fms", step, method, 1e3 * (time.perf_counter() - began))

    def continued(self, job: Job) -> AbstractContextManager[None]:
        from serve_app import origin

        return origin.continued(job)

    def messages(self) -> Mapping[str, str]:
        """Serve's messages about unhealthy deployments, by step."""
        try:
            application = serve.status().applications[serve.get_replica_context().app_name]
        except (RayServeException, KeyError) as exc:
            logger.warning("Serve does not tell the state of its deployments: %s", exc)
            return {}
        return {
            name.lower(): f"{status.status.value}: {status.message.partition(chr(10))[0]}"[
                :MAX_MESSAGE
            ]
            for name, status in application.deployments.items()
            if status.message
        }

    async def metrics(self) -> str:
        from serve_app import scraping

        return await scraping.gather_metrics()
