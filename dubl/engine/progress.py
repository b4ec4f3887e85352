"""The current stage of a job, from its responses, without fetching their results."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from dubl.engine.handles import Response

OnStage = Callable[[str], None]

# Seconds. Nobody sees the stages of a job that is over before the first of them.
FIRST_LOOK_S = 0.25


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
