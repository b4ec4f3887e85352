"""Consumers of RabbitMQ's messages, which run the same jobs as the ingress does by default."""

from __future__ import annotations

import asyncio

from ray.serve.task_consumer import task_handler

from dubl.engine.engine import make_runner
from dubl.engine.flow import Steps
from dubl.settings import Settings
from serve_app.broker import RUN_JOB, Dispatcher
from serve_app.handles import serve_steps
from serve_app.log import use_serve_log
from serve_app.shell import ServeShell

# Messages may be lost; a job that has waited so long is taken from the ledger.
OVERDUE_S = 30.0


class Consumer:
    """Runs the jobs named in messages. Handlers are called in threads of the task worker."""

    def __init__(self, settings: Settings, steps: Steps) -> None:
        use_serve_log()
        self._loop = asyncio.get_running_loop()
        self._runner = make_runner(
            serve_steps(steps), settings, schedule=Dispatcher(settings).send, shell=ServeShell()
        )
        self._runner.start(takes_older_than_s=OVERDUE_S)

    @task_handler(name=RUN_JOB)  # type: ignore[untyped-decorator]  # Ray is untyped
    def run_job(self, job_id: str) -> None:
        """Returns after the attempt, successful or not: the ledger has its result."""
        asyncio.run_coroutine_threadsafe(self._runner.run_one(job_id), self._loop).result()
