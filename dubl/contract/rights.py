"""Rights as callers and lists state them."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from dubl.contract.forms import Form, Listed, Name, Seconds, read_form, wrong
from dubl.errors import InvalidRights
from dubl.rights.terms import (
    Action,
    CheckContext,
    ExcludedSegment,
    LicenseWindow,
    Modalities,
    Rights,
)
from dubl.rights.times import utc

TERRITORY = re.compile(r"[A-Za-z]{2}")


def _instant(value: str) -> str:
    try:
        return utc(value)
    except ValueError as exc:
        raise wrong(str(exc)) from exc


def _territory(value: str) -> str:
    if not TERRITORY.fullmatch(value):
        raise wrong("must hold country codes of two letters (ISO 3166-1)")
    return value.upper()


def _action(value: object) -> Action:
    try:
        return Action(str(value))
    except ValueError as exc:
        raise wrong(f"must be one of {', '.join(Action)}") from exc


def _modalities(value: object) -> Modalities | None:
    try:
        return None if value is None else Modalities(str(value))
    except ValueError as exc:
        raise wrong(f"must be one of {', '.join(Modalities)}") from exc


def _once(values: tuple[str, ...]) -> tuple[str, ...]:
    if not all(values):
        raise wrong("holds an empty text")
    return tuple(dict.fromkeys(values))


Instant = Annotated[
    Name, AfterValidator(_instant), Field(json_schema_extra={"format": "date-time"})
]
Territory = Annotated[Name, AfterValidator(_territory)]
Channels = Annotated[tuple[Name, ...], Listed, AfterValidator(_once)]
Territories = Annotated[tuple[Territory, ...], Listed, AfterValidator(_once)]


class WindowForm(Form):
    since: Instant = Field(default="", alias="from")
    until: Instant = ""
    territories: Territories = ()
    channels: Channels = ()

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.since and self.until and self.since >= self.until:
            raise wrong(f"ends before it begins: from {self.since} until {self.until}")
        return self


class SegmentForm(Form):
    start_s: Seconds = 0.0
    end_s: Seconds = 0.0
    label: Name = ""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.start_s >= self.end_s:
            raise wrong(f"ends before it begins: from {self.start_s} s until {self.end_s} s")
        return self


class RightsForm(Form):
    """Rights of a reference; missing fields have defaults."""

    action: Annotated[Action, BeforeValidator(_action)] = Action.BLOCK
    license_windows: Annotated[tuple[WindowForm, ...], Listed] = ()
    min_copied_s: Seconds = 0.0
    excluded_segments: Annotated[tuple[SegmentForm, ...], Listed] = ()
    modalities: Annotated[Modalities | None, BeforeValidator(_modalities)] = None

    def terms(self) -> Rights:
        return Rights(
            action=self.action,
            license_windows=tuple(LicenseWindow(**dict(one)) for one in self.license_windows),
            min_copied_s=self.min_copied_s,
            excluded_segments=tuple(ExcludedSegment(**dict(one)) for one in self.excluded_segments),
            modalities=self.modalities,
        )


class ContextForm(Form):
    """Where and when a video would be shown."""

    channel: Name = Field(
        default="", description="where it would be shown; licenses may name channels"
    )
    territory: Territory = Field(default="", description="country code of two letters")
    time: Instant = Field(default="", description="when it would be shown; else now")

    def context(self) -> CheckContext:
        return CheckContext(channel=self.channel, territory=self.territory, time=self.time)


def parse_rights(value: object) -> Rights:
    """Rights from a JSON object, or from its text. Raises InvalidRights."""
    return read_form(RightsForm, value, name="rights", error=InvalidRights).terms()
