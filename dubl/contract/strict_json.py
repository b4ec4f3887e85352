"""Parsing of untrusted JSON: only values that can be stored and sent back."""

from __future__ import annotations

import json
import math

MAX_LEVELS = 64


def parse_json(text: bytes | bytearray | str) -> object:
    """A JSON value by RFC 8259.

    Raises ValueError also for NaN and infinity, for unpaired surrogates, which UTF-8 cannot encode,
    and for nesting that would exhaust the stack.
    """
    try:
        value: object = json.loads(text, parse_float=_finite, parse_constant=_refused)
        json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as exc:
        raise ValueError("nested too deeply") from exc
    _require_shallow(value)
    return value


def _require_shallow(value: object) -> None:
    """Refuses deep nesting: Python can read some hundred levels but not write them."""
    level = [value]
    for _ in range(MAX_LEVELS):
        level = [
            inner
            for outer in level
            if isinstance(outer, list | dict)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise ValueError("nested too deeply")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is too large a number")
    return value


def _refused(name: str) -> float:
    raise ValueError(f"{name} is not valid JSON")
