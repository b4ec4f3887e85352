"""Readiness of the steps, asked at most once a second however many look."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from dubl.engine.engine import Engine

KNOWN_FOR_S = 1.0  # seconds; chosen


class Readiness:
    """One for each ingress replica."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reasons: Mapping[str, str] = {}
        self._known_until = float("-inf")
        self._lock = asyncio.Lock()

    async def waits_for(self) -> Mapping[str, str]:
        """Steps that are not ready, each with the reason."""
        async with self._lock:
            if time.monotonic() >= self._known_until:
                self._reasons = await self._engine.waits_for()
                self._known_until = time.monotonic() + KNOWN_FOR_S
        return self._reasons
