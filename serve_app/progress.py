"""Which stage a job has reached, seen from its responses without fetching what they carry."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import ray
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentResponse

logger = logging.getLogger(__name__)

OnStage = Callable[[str], None]

LOOK_S = 0.25  # nobody sees the stages of a job that is over before the first look


@asynccontextmanager
async def followed(
    stages: Mapping[str, DeploymentResponse], on_stage: OnStage
) -> AsyncIterator[None]:
    """While the block runs, tells each stage that begins, in order. When it is left by an error or
    a cancellation, what is still under way is cancelled in the replicas."""
    watching = asyncio.create_task(_watch(stages, on_stage))
    try:
        yield
    except BaseException:
        for response in stages.values():
            response.cancel()
        raise
    finally:
        watching.cancel()


async def _watch(stages: Mapping[str, DeploymentResponse], on_stage: OnStage) -> None:
    await asyncio.sleep(LOOK_S)
    try:
        for stage, response in stages.items():
            on_stage(stage)
            result = await response._to_object_ref()
            while not ray.wait([result], timeout=0, fetch_local=False)[0]:
                await asyncio.sleep(LOOK_S)
    except (RayError, RayServeException):
        logger.debug("progress ends early: whoever awaits the result learns why", exc_info=True)
