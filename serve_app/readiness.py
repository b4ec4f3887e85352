"""Which steps take requests, and why the others do not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping

from ray import serve
from ray.serve.exceptions import RayServeException

from dubl.errors import DublError
from serve_app.api.service import Readiness
from serve_app.calls import answer
from serve_app.flow import Steps

logger = logging.getLogger(__name__)

TIMEOUT_S = 5.0
NO_ANSWER = f"does not answer within {TIMEOUT_S:g} s"
# Serve's messages go on with tracebacks, which are not for everybody.
LONGEST = 300


async def read_readiness(steps: Steps, *, running_jobs: int) -> Readiness:
    """Asks every step; of those that are not ready, what they or Serve say of it."""
    calls = {name: handle.ready.remote() for name, handle in steps.by_name.items()}
    told = await asyncio.gather(*(_reason(call) for call in calls.values()))
    reasons = {name: reason for name, reason in zip(calls, told, strict=True) if reason}
    if NO_ANSWER in reasons.values():
        reasons = _explained(reasons, await asyncio.to_thread(_serve_messages))
    return Readiness(
        ready=not reasons,
        waiting_for=tuple(reasons),
        reasons=reasons,
        facts={"running_jobs": running_jobs},
    )


async def _reason(call: Awaitable[bool]) -> str:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return "" if await answer(call) else "is starting"
    except DublError as exc:
        return f"{exc.code}: {exc.detail}"
    except TimeoutError:
        return NO_ANSWER


def _explained(reasons: Mapping[str, str], messages: Mapping[str, str]) -> dict[str, str]:
    return {
        name: messages.get(name, reason) if reason == NO_ANSWER else reason
        for name, reason in reasons.items()
    }


def _serve_messages() -> dict[str, str]:
    """What Serve says of deployments that are not healthy, by step."""
    try:
        application = serve.status().applications[serve.get_replica_context().app_name]
    except (RayServeException, KeyError) as exc:
        logger.warning("Serve does not tell the state of its deployments: %s", exc)
        return {}
    return {
        name.lower(): f"{status.status.value}: {status.message.partition(chr(10))[0]}"[:LONGEST]
        for name, status in application.deployments.items()
        if status.message
    }
