"""Names of files that may not be UTF-8."""

from __future__ import annotations

import os


def plain_text(path: str) -> str:
    """A path as UTF-8 text; other bytes are shown as \\xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
