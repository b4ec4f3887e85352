"""What a check found, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dubl.client.errors import ClientError
from dubl.errors import DublError


class State(StrEnum):
    OK = "ok"
    NOTE = "note"  # works, but somebody should know
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`advice` is empty where there is nothing to do."""

    topic: str
    state: State
    text: str
    advice: str = ""


def fine(topic: str, text: str) -> Finding:
    return Finding(topic=topic, state=State.OK, text=text)


def note(topic: str, text: str, advice: str = "") -> Finding:
    return Finding(topic=topic, state=State.NOTE, text=text, advice=advice)


def problem(topic: str, text: str, advice: str) -> Finding:
    return Finding(topic=topic, state=State.PROBLEM, text=text, advice=advice)


def from_error(topic: str, error: DublError | ClientError, advice: str = "") -> Finding:
    """An error's own words, and its hint where nothing better is known."""
    return problem(topic, error.detail, error.hint or advice)
