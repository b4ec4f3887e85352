"""Server-sent events of a job (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from dubl.contract import bodies
from dubl.errors import DublError
from dubl.ledger.job_queue import JobQueue
from dubl.types import Job
from serve_app.api.context import Context
from serve_app.api.problems import problem

LOOK_S = 0.25  # seconds until the next look at the job after a change; doubled without one
MAX_LOOK_S = 1.0  # a key may have hundreds of streams, which all ask one ledger; chosen
KEEP_ALIVE_S = 15.0  # seconds between comments that keep the connection open; chosen


async def job_events(
    context: Context, job: Job, body_of: Callable[[Job], Awaitable[bodies.Job]]
) -> AsyncIterator[str]:
    """An event for each change, until the job ends or the service fails."""
    shown, said_at, pause_s = "", time.monotonic(), LOOK_S
    try:
        while True:
            text = (await body_of(job)).model_dump_json()
            if job.state.ended:
                yield _event("end", text)
                return
            if text != shown:
                yield _event("progress", text)
                shown, said_at, pause_s = text, time.monotonic(), LOOK_S
            elif time.monotonic() - said_at > KEEP_ALIVE_S:
                yield ": waiting\n\n"
                said_at = time.monotonic()
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, MAX_LOOK_S)
            job = await context.ledger.ask(JobQueue.get, job.id)
    except DublError as exc:
        yield _event("error", json.dumps(problem(exc), ensure_ascii=False))


def _event(name: str, data: str) -> str:
    return f"event: {name}\ndata: {data}\n\n"
