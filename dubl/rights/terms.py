"""What the owner of a reference allows, and what a check asks about.

A verdict is *a copy, and not licensed here and now*: rights are data of the reference, read anew
for every check, and change no features.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class Action(StrEnum):
    """What the owner wants done with a copy that no license covers; strictest first. ALLOW: copies
    need no license."""

    BLOCK = "block"
    MONETIZE = "monetize"
    TRACK = "track"
    ALLOW = "allow"

    @property
    def leniency(self) -> int:
        """Grows from BLOCK to ALLOW."""
        return list(Action).index(self)


class Reason(StrEnum):
    """Why a match counts or does not; the words beside it say more."""

    COPY = "copy"
    NO_LICENSE = "no_license"
    NOT_YET = "license_not_yet"
    ENDED = "license_ended"
    OTHER_TERRITORY = "license_other_territory"
    OTHER_CHANNEL = "license_other_channel"
    LICENSED = "licensed"
    ALLOWED = "allowed"
    TOO_SHORT = "too_short"
    EXCLUDED = "excluded"
    QUARANTINED = "quarantined"
    COMMON = "common"


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseWindow:
    """A license: from `since` until before `until` (UTC as `dubl.rights.times` writes it; empty:
    open), in these territories (ISO 3166-1, two capitals) and channels; none named: in all."""

    since: str = ""
    until: str = ""
    territories: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExcludedSegment:
    """Seconds of a reference that prove nothing: an intro, credits."""

    start_s: float
    end_s: float
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """Rights of one reference. `min_copied_s`: from how many copied seconds its owner acts."""

    action: Action = Action.BLOCK
    license_windows: tuple[LicenseWindow, ...] = ()
    min_copied_s: float = 0.0
    excluded_segments: tuple[ExcludedSegment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckContext:
    """Where and when the query would be shown. Empty: not known, which no license that names
    territories or channels covers."""

    channel: str = ""
    territory: str = ""
    time: str = ""

    def at(self, now: str) -> CheckContext:
        """With `now` for the time, where none was named."""
        return replace(self, time=self.time or now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What rights make of a match. `counts`: it may make a verdict a duplicate; while its
    reference is `quarantined`, no more than one for review. `copied_s`: seconds of the query that
    the match's segments cover."""

    action: Action = Action.BLOCK
    licensed: bool = False
    counts: bool = True
    quarantined: bool = False
    reason: str = ""
    reason_code: Reason = Reason.COPY
    copied_s: float = 0.0


UNRESTRICTED = Rights()
ANYWHERE = CheckContext()
UNJUDGED = Ruling()
