"""Licensing: whether a match counts under its reference's rights, and why. Pure functions."""

from __future__ import annotations

from dataclasses import replace

from dubl.matching.segments import covered_s
from dubl.rights.terms import (
    Action,
    CheckContext,
    LicenseWindow,
    Modalities,
    Reason,
    Rights,
    Ruling,
)
from dubl.types import Match, Modality

Obstacle = tuple[Reason, str]


def rule(match: Match, rights: Rights, context: CheckContext) -> Ruling:
    """The ruling on a match. `context.time` must be set, as licenses have a start and an end."""
    ruling = _license(rights, context)
    ruling = replace(ruling, action=rights.action, copied_s=covered_s(match.segments))
    claimed = rights.modalities or Modalities.VIDEO
    if Modalities.BOTH is not claimed and match.modality not in (Modality.BOTH, claimed.value):
        found = "sound" if match.modality is Modality.AUDIO else "picture"
        return replace(
            ruling,
            counts=False,
            reason_code=Reason.OTHER_MODALITY,
            reason=f"only its {found} is alike, which its owner does not claim",
        )
    if not ruling.counts or not match.segments:
        return _nothing_left(ruling, match)
    if ruling.copied_s < rights.min_copied_s:
        return replace(
            ruling,
            counts=False,
            reason_code=Reason.TOO_SHORT,
            reason=f"{ruling.copied_s:.1f} s are copied, and its owner acts from "
            f"{rights.min_copied_s:g} s on",
        )
    left_out = _left_out(match)
    return replace(ruling, reason="; ".join([ruling.reason, *left_out]))


def _nothing_left(ruling: Ruling, match: Match) -> Ruling:
    left_out = _left_out(match)
    if match.segments or not left_out:
        return ruling
    common = match.common_s > match.excluded_s
    return replace(
        ruling,
        reason_code=Reason.COMMON if common else Reason.EXCLUDED,
        reason=f"nothing is left: {'; '.join(left_out)}",
    )


def _left_out(match: Match) -> list[str]:
    said = {
        f"{match.excluded_s:.1f} s in excluded segments do not count": match.excluded_s,
        f"{match.common_s:.1f} s of common material do not count": match.common_s,
    }
    return [text for text, seconds in said.items() if seconds > 0]


def _license(rights: Rights, context: CheckContext) -> Ruling:
    if rights.action is Action.ALLOW:
        return Ruling(
            licensed=True,
            counts=False,
            reason_code=Reason.ALLOWED,
            reason="its owner allows copies",
        )
    obstacles = [_obstacles(window, context) for window in rights.license_windows]
    if [] in obstacles:
        window = rights.license_windows[obstacles.index([])]
        return Ruling(
            licensed=True, counts=False, reason_code=Reason.LICENSED, reason=_granted(window)
        )
    if not obstacles:
        return Ruling(reason_code=Reason.NO_LICENSE, reason="no license is registered")
    nearest = min(obstacles, key=len)
    words = " and ".join(text for _, text in nearest)
    return Ruling(reason_code=nearest[0][0], reason=f"not licensed here and now: {words}")


def _granted(window: LicenseWindow) -> str:
    until = f"until {window.until}" if window.until else "without an end"
    places = f" in {', '.join(window.territories)}" if window.territories else ""
    channels = f" for {', '.join(window.channels)}" if window.channels else ""
    return f"licensed{channels}{places} {until}"


def _obstacles(window: LicenseWindow, context: CheckContext) -> list[Obstacle]:
    """Reasons why this license does not cover the check; empty if it does."""
    found: list[Obstacle] = []
    if window.since and context.time < window.since:
        found.append((Reason.NOT_YET, f"the license begins {window.since}"))
    if window.until and context.time >= window.until:
        found.append((Reason.ENDED, f"the license ended {window.until}"))
    if window.territories and context.territory not in window.territories:
        here = f"not for {context.territory}" if context.territory else "the check named none"
        there = ", ".join(window.territories)
        found.append((Reason.OTHER_TERRITORY, f"the license is for {there}, {here}"))
    if window.channels and context.channel not in window.channels:
        here = f"not for {context.channel}" if context.channel else "the check named none"
        channels = ", ".join(window.channels)
        found.append((Reason.OTHER_CHANNEL, f"the license is for {channels}, {here}"))
    return found
