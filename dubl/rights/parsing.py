"""Parsing of rights from requests and lists, and back to plain values. Errors name the field."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence

from dubl.errors import InvalidRights
from dubl.rights.terms import (
    UNRESTRICTED,
    Action,
    CheckContext,
    ExcludedSegment,
    LicenseWindow,
    Rights,
)
from dubl.rights.times import utc_text

FIELDS = ("action", "license_windows", "min_copied_s", "excluded_segments")
WINDOW_FIELDS = ("from", "until", "territories", "channels")
SEGMENT_FIELDS = ("start_s", "end_s", "label")
TERRITORY = re.compile(r"[A-Za-z]{2}")
TEXT_MAX_LENGTH = 256
MAX_ENTRIES = 1000


def parse_rights(value: object) -> Rights:
    """Rights from a JSON object with any of FIELDS, or from its text; missing fields have defaults.

    Raises InvalidRights.
    """
    given = _object(_unpacked(value, "rights"), "rights", FIELDS)
    windows = _items(given.get("license_windows"), "license_windows")
    segments = _items(given.get("excluded_segments"), "excluded_segments")
    return Rights(
        action=_action(given.get("action")),
        license_windows=tuple(
            _window(one, f"license_windows[{number}]") for number, one in enumerate(windows)
        ),
        min_copied_s=_seconds(given.get("min_copied_s"), "min_copied_s"),
        excluded_segments=tuple(
            _segment(one, f"excluded_segments[{number}]") for number, one in enumerate(segments)
        ),
    )


def plain_rights(rights: Rights) -> dict[str, object]:
    """Plain values from which `parse_rights` makes the same rights."""
    return {
        "action": rights.action.value,
        "license_windows": [
            {
                "from": window.since or None,
                "until": window.until or None,
                "territories": list(window.territories),
                "channels": list(window.channels),
            }
            for window in rights.license_windows
        ],
        "min_copied_s": rights.min_copied_s,
        "excluded_segments": [
            {"start_s": one.start_s, "end_s": one.end_s, "label": one.label}
            for one in rights.excluded_segments
        ],
    }


def parse_context(*, channel: object, territory: object, time: object) -> CheckContext:
    """The context of a check. Raises InvalidRights."""
    place = _text(territory, "territory")
    instant = _text(time, "time")
    return CheckContext(
        channel=_text(channel, "channel"),
        territory=_territory(place, "territory") if place else "",
        time=utc_text(instant, name="time") if instant else "",
    )


def _window(value: object, name: str) -> LicenseWindow:
    given = _object(value, name, WINDOW_FIELDS)
    since = _instant(given.get("from"), f"{name}.from")
    until = _instant(given.get("until"), f"{name}.until")
    if since and until and since >= until:
        raise InvalidRights(f"`{name}` ends before it begins: from {since} until {until}")
    places = _texts(given.get("territories"), f"{name}.territories")
    return LicenseWindow(
        since=since,
        until=until,
        territories=tuple(_territory(place, f"{name}.territories") for place in places),
        channels=_texts(given.get("channels"), f"{name}.channels"),
    )


def _segment(value: object, name: str) -> ExcludedSegment:
    given = _object(value, name, SEGMENT_FIELDS)
    start_s = _seconds(given.get("start_s"), f"{name}.start_s")
    end_s = _seconds(given.get("end_s"), f"{name}.end_s")
    if start_s >= end_s:
        raise InvalidRights(f"`{name}` ends before it begins: from {start_s} s until {end_s} s")
    label = _text(given.get("label"), f"{name}.label")
    return ExcludedSegment(start_s=start_s, end_s=end_s, label=label)


def _action(value: object) -> Action:
    if value is None or value == "":
        return UNRESTRICTED.action
    try:
        return Action(str(value))
    except ValueError as exc:
        raise InvalidRights(f"`action` must be one of {', '.join(Action)}") from exc


def _instant(value: object, name: str) -> str:
    text = _text(value, name)
    return utc_text(text, name=name) if text else ""


def _territory(value: str, name: str) -> str:
    if not TERRITORY.fullmatch(value):
        raise InvalidRights(f"`{name}` must hold country codes of two letters (ISO 3166-1)")
    return value.upper()


def _seconds(value: object, name: str) -> float:
    if value is None or value == "":
        return 0.0
    try:
        seconds = float(value) if isinstance(value, int | float | str) else math.nan
    except (ValueError, OverflowError):
        seconds = math.nan
    if isinstance(value, bool) or not math.isfinite(seconds) or seconds < 0:
        raise InvalidRights(f"`{name}` must be seconds, 0 or more")
    return seconds


def _text(value: object, name: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > TEXT_MAX_LENGTH or not value.isprintable():
        raise InvalidRights(
            f"`{name}` must be printable text of at most {TEXT_MAX_LENGTH} characters"
        )
    return value


def _texts(value: object, name: str) -> tuple[str, ...]:
    """A list of distinct texts."""
    found = [_text(one, name) for one in _items(value, name)]
    if not all(found):
        raise InvalidRights(f"`{name}` holds an empty text")
    return tuple(dict.fromkeys(found))


def _items(value: object, name: str) -> Sequence[object]:
    value = _unpacked(value, name)
    if value is None or value == "":
        return ()
    if not isinstance(value, list | tuple) or len(value) > MAX_ENTRIES:
        raise InvalidRights(f"`{name}` must be a list of at most {MAX_ENTRIES} entries")
    return value


def _object(value: object, name: str, known: Sequence[str]) -> Mapping[str, object]:
    if value is None or value == "":
        return {}
    if not isinstance(value, Mapping):
        raise InvalidRights(f"`{name}` must be an object with {', '.join(known)}")
    unknown = sorted(str(key) for key in value if key not in known)
    if unknown:
        raise InvalidRights(f"`{name}` has no field `{unknown[0]}`; known: {', '.join(known)}")
    return value


def _unpacked(value: object, name: str) -> object:
    """The value, decoded if it is JSON text, as in fields of forms and columns of lists."""
    if not isinstance(value, str) or not value.strip():
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as exc:
        raise InvalidRights(f"`{name}` is not valid JSON") from exc
