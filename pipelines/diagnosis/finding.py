"""Findings of `dubl doctor`, with advice."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dubl.client.errors import ClientError
from dubl.errors import DublError


class State(StrEnum):
    OK = "ok"
    NOTE = "note"  # works, but is unusual
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`advice`: what to do; empty if nothing."""

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
    """A problem with the error's detail, and its hint or else `advice`."""
    return problem(topic, error.detail, error.hint or advice)
