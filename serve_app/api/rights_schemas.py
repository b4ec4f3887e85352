"""Bodies of rights and of what they make of a match, and the conversion to them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from dubl.rights.parsing import plain_rights
from dubl.rights.terms import Action, CheckContext, Rights
from dubl.types import Match


class RulingBody(BaseModel):
    """What the reference's rights make of a match: only what `counts` can be a duplicate, and
    of a reference that is `quarantined` a person decides.
    `copied_s`: seconds of the query; besides, `excluded_s` in excluded segments and `common_s` of
    common material prove nothing."""

    action: Action
    licensed: bool
    counts: bool
    quarantined: bool
    reason: str
    reason_code: str
    copied_s: float
    excluded_s: float
    common_s: float

    @classmethod
    def of(cls, match: Match) -> RulingBody:
        ruling = match.rights
        return cls(
            action=ruling.action,
            licensed=ruling.licensed,
            counts=ruling.counts,
            quarantined=ruling.quarantined,
            reason=ruling.reason,
            reason_code=ruling.reason_code,
            copied_s=round(ruling.copied_s, 3),
            excluded_s=round(match.excluded_s, 3),
            common_s=round(match.common_s, 3),
        )


class ContextBody(BaseModel):
    """Where and when the query would be shown; null: not said."""

    channel: str | None
    territory: str | None
    time: str | None

    @classmethod
    def of(cls, context: CheckContext) -> ContextBody:
        return cls(
            channel=context.channel or None,
            territory=context.territory or None,
            time=context.time or None,
        )


class LicenseWindowBody(BaseModel):
    """Open where null; everywhere where nothing is named. `until` is the first instant without."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True)

    since: str | None = Field(default=None, alias="from")
    until: str | None = None
    territories: list[str] = []
    channels: list[str] = []


class ExcludedSegmentBody(BaseModel):
    """Seconds of the reference that prove nothing."""

    start_s: float
    end_s: float
    label: str = ""


class RightsBody(BaseModel):
    """A copy counts unless a license covers it. Given in a request, it replaces all; what it
    leaves out has its default."""

    action: Action = Action.BLOCK
    license_windows: list[LicenseWindowBody] = []
    min_copied_s: float = Field(default=0, ge=0)
    excluded_segments: list[ExcludedSegmentBody] = []

    @classmethod
    def of(cls, rights: Rights) -> RightsBody:
        return cls.model_validate(plain_rights(rights))
