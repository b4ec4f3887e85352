"""The time limit for one video."""

from __future__ import annotations

import time

from dubl.errors import DecodeTimeout


class Deadline:
    """Starts when it is created. Decoding loops call `check` between pictures."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._expires_at = time.monotonic() + limit_s

    def extend(self, seconds: float) -> None:
        """Leaves out time in which decoding waited for others."""
        self._expires_at += seconds

    def check(self) -> None:
        """Raises DecodeTimeout when the time is over."""
        if time.monotonic() > self._expires_at:
            raise DecodeTimeout(
                f"decoding took longer than media.decode_timeout_s ({self.limit_s:g} s)",
                context={"limit_s": self.limit_s},
            )
