"""The rights of references, and the context of checks.

Rights are data of the reference. They are read again for every check and change no features.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class Action(StrEnum):
    """The owner's action for unlicensed copies, strictest first. ALLOW: copies need no license."""

    BLOCK = "block"
    MONETIZE = "monetize"
    TRACK = "track"
    ALLOW = "allow"

    @property
    def leniency(self) -> int:
        """A number that grows from BLOCK to ALLOW."""
        return list(Action).index(self)


class Reason(StrEnum):
    """The reason why a match counts or does not."""

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
    OTHER_MODALITY = "other_modality"


class Modalities(StrEnum):
    """What its owner claims: the picture, the sound, or either of them."""

    VIDEO = "video"
    AUDIO = "audio"
    BOTH = "both"


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseWindow:
    """A license: from `since` until before `until` (UTC as in `dubl.rights.times`; empty: open).

    It holds in these territories (ISO 3166-1, two capitals) and channels; empty: in all.
    """

    since: str = ""
    until: str = ""
    territories: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExcludedSegment:
    """Seconds of a reference whose copies do not count: an intro, credits."""

    start_s: float
    end_s: float
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """Rights of one reference. `min_copied_s`: shorter copies do not count. `modalities`: None:
    those of its library (see SoundSettings)."""

    action: Action = Action.BLOCK
    license_windows: tuple[LicenseWindow, ...] = ()
    min_copied_s: float = 0.0
    excluded_segments: tuple[ExcludedSegment, ...] = ()
    modalities: Modalities | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckContext:
    """Channel, territory and time of the query. Empty: unknown.

    A license with territories or channels does not cover an unknown one.
    """

    channel: str = ""
    territory: str = ""
    time: str = ""

    def at(self, now: str) -> CheckContext:
        """The context with the time `now`, unless it has one."""
        return replace(self, time=self.time or now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """The effect of rights on a match.

    counts: it may change the outcome. quarantined: its reference is in quarantine, so it leads at
    most to a review. copied_s: seconds of the query that its segments cover.
    """

    action: Action = Action.BLOCK
    licensed: bool = False
    counts: bool = True
    quarantined: bool = False
    reason: str = ""
    reason_code: Reason = Reason.COPY
    copied_s: float = 0.0


UNRESTRICTED = Rights()
ANYWHERE = CheckContext()
NO_RULING = Ruling()
