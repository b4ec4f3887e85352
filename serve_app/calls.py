"""Calls of steps, and what becomes of their errors."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from ray.exceptions import RayActorError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from dubl.errors import DublError, Overloaded, ServiceInterrupted

Result = TypeVar("Result")


async def answer(response: Awaitable[Result]) -> Result:
    """Awaits a step. Raises the domain error that was raised in it, however many hops down."""
    try:
        return await response
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
