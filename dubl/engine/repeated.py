"""Background work that is done again and again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from dubl.errors import DublError

logger = logging.getLogger(__name__)


async def repeated(work: Callable[[], Awaitable[object]], *, every_s: float, name: str) -> None:
    """Runs `work`, pauses for `every_s` seconds, and so on until it is cancelled.

    No error ends it: after one, the next run is the retry.
    """
    while True:
        try:
            await work()
        except DublError as exc:
            logger.error("%s failed and will be retried: %s", name, exc.detail)
        except Exception:  # a full disk, an error in a library
            logger.exception("%s failed and will be retried", name)
        await asyncio.sleep(every_s)
