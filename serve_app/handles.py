"""Ray Serve's handles behind the engine's port (dubl/engine/handles.py).

Errors of steps arrive as domain errors.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Generator
from dataclasses import replace
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.serve.exceptions import (
    BackPressureError,
    DeploymentUnavailableError,
    RayServeException,
)
from ray.serve.handle import DeploymentHandle, DeploymentResponse

from dubl.engine.flow import Steps
from dubl.engine.handles import Method, Response
from dubl.errors import DublError, Overloaded, ServiceInterrupted

logger = logging.getLogger(__name__)

LOOK_S = 0.25  # seconds between two looks at a response; chosen


class ServeHandle:
    """A deployment's handle."""

    def __init__(self, handle: DeploymentHandle) -> None:
        self._handle = handle

    def __reduce__(self) -> tuple[type[ServeHandle], tuple[DeploymentHandle]]:
        """Handles are arguments of steps that call others."""
        return ServeHandle, (self._handle,)

    def __getattr__(self, name: str) -> Method:
        return _ServeMethod(getattr(self._handle, name))


class _ServeMethod:
    def __init__(self, method: DeploymentHandle) -> None:
        self._method = method

    def remote(self, *arguments: object) -> Response:
        plain = (one.response if isinstance(one, _ServeResponse) else one for one in arguments)
        return _ServeResponse(self._method.remote(*plain))


class _ServeResponse:
    def __init__(self, response: DeploymentResponse) -> None:
        self.response = response

    def __await__(self) -> Generator[Any, None, Any]:
        return self._answer().__await__()

    async def _answer(self) -> object:
        """The result. Raises the domain error of the step, however many hops down it was raised."""
        try:
            return await self.response
        except RayTaskError as exc:
            if isinstance(exc.cause, DublError):
                raise exc.cause from None
            raise
        except BackPressureError as exc:
            raise Overloaded("all replicas of a step are busy") from exc
        except (RayActorError, DeploymentUnavailableError) as exc:
            raise ServiceInterrupted(
                "a replica was lost while it worked; it is being replaced"
            ) from exc

    def cancel(self) -> None:
        self.response.cancel()

    async def settled(self) -> None:
        try:
            result = await self.response._to_object_ref()
            while not ray.wait([result], timeout=0, fetch_local=False)[0]:
                await asyncio.sleep(LOOK_S)
        except (RayError, RayServeException):
            logger.debug("whoever awaits the result learns why", exc_info=True)


def serve_steps(steps: Steps) -> Steps:
    """The same steps, with Serve's handles wrapped."""
    return replace(
        steps,
        decoder=ServeHandle(steps.decoder),
        lanes=tuple(
            replace(
                lane,
                embedder=ServeHandle(lane.embedder),
                retriever=ServeHandle(lane.retriever),
                reranker=ServeHandle(lane.reranker),
            )
            for lane in steps.lanes
        ),
        librarian=ServeHandle(steps.librarian),
        ledger=ServeHandle(steps.ledger),
    )
