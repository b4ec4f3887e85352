"""The bodies of requests, which validate and document themselves."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from dubl.types import MIN_DECISIONS, Decision, Scope

TEXT_MAX_LENGTH = 4096
LIBRARY_PATTERN = re.compile(r"[\w.-]{1,64}")

Text = Annotated[str, Field(max_length=TEXT_MAX_LENGTH)]
LibraryName = Annotated[str, StringConstraints(pattern=f"^(?:{LIBRARY_PATTERN.pattern})$")]


class Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ReviewRequest(Request):
    """A reviewer's decision on a match."""

    check_id: str
    reference_id: str
    decision: Decision
    reviewer: str = ""
    note: str = ""


class QuarantineRequest(Request):
    """A reviewer's decision on a quarantined reference."""

    reference_id: str
    decision: Literal["release", "keep"]
    reviewer: Text = ""
    note: Text = ""


class CalibrationRequest(Request):
    """`adopt`: whether the fitted thresholds take effect."""

    least_decisions: int = Field(default=MIN_DECISIONS, ge=10)
    adopt: bool = True


class KeyRequest(Request):
    """A new key; limits of 0 are those of the settings."""

    name: str = Field(min_length=1, max_length=200)
    scopes: list[Scope] = Field(min_length=1)
    libraries: list[LibraryName] = []
    requests_per_minute: int = Field(default=0, ge=0, le=1_000_000)
    jobs_per_day: int = Field(default=0, ge=0, le=1_000_000_000)


class SwitchRequest(Request):
    """`force`: switch even if the space lacks references."""

    space_id: str
    force: bool = False
    note: Text = ""


class RollbackRequest(Request):
    note: Text = ""
