"""Rights come from requests and lists, and what is wrong with them is named."""

from __future__ import annotations

import json

import pytest

from dubl.contract import bodies
from dubl.contract.forms import read_form
from dubl.contract.rights import ContextForm, parse_rights
from dubl.errors import InvalidRequest, InvalidRights
from dubl.rights.terms import UNRESTRICTED, Action, CheckContext, LicenseWindow

WINDOW = {
    "from": "2026-01-01",
    "until": "2026-12-31T21:00:00+03:00",
    "territories": ["ru", "KZ"],
    "channels": ["kids"],
}
RIGHTS: dict[str, object] = {
    "action": "monetize",
    "license_windows": [WINDOW],
    "min_copied_s": 5,
    "excluded_segments": [{"start_s": 0, "end_s": 12.5, "label": "intro"}],
}


def test_times_and_territories_get_one_form() -> None:
    (window,) = parse_rights(RIGHTS).license_windows
    assert window == LicenseWindow(
        since="2026-01-01T00:00:00.000Z",
        until="2026-12-31T18:00:00.000Z",
        territories=("RU", "KZ"),
        channels=("kids",),
    )


def test_rights_survive_being_written_down() -> None:
    rights = parse_rights(RIGHTS)
    assert rights.action is Action.MONETIZE
    assert parse_rights(json.loads(bodies.Rights.of(rights).model_dump_json())) == rights


def test_forms_and_lists_may_hold_them_as_text() -> None:
    columns = {**RIGHTS, "license_windows": json.dumps([WINDOW]), "min_copied_s": "5"}
    assert parse_rights(json.dumps(RIGHTS)) == parse_rights(RIGHTS) == parse_rights(columns)


@pytest.mark.parametrize("nothing", [None, "", {}, {"license_windows": None}])
def test_who_says_nothing_restricts_nothing(nothing: object) -> None:
    assert parse_rights(nothing) == UNRESTRICTED


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"action": "destroy"}, "block, monetize, track, allow"),
        ({"licence": []}, "no field `licence`"),
        ({"license_windows": {}}, "license_windows` must be a list"),
        (
            {"license_windows": [{"from": "soon"}]},
            r"license_windows\[0\].from` must be an ISO",
        ),
        ({"license_windows": [{}, {"from": "2026-02-01", "until": "2026-01-01"}]}, r"\[1\]` ends"),
        ({"license_windows": [{"from": "2026-02-01", "until": "2026-02-01"}]}, "before it begins"),
        ({"license_windows": [{"territories": ["Russia"]}]}, "two letters"),
        ({"license_windows": [{"territories": "RU"}]}, "not valid JSON"),
        ({"license_windows": [{"channels": [""]}]}, "empty text"),
        ({"license_windows": [{"till": "2026-02-01"}]}, "no field `till`"),
        ({"excluded_segments": [{"start_s": 9, "end_s": 3}]}, "ends before it begins"),
        ({"excluded_segments": [{"start_s": -1, "end_s": 3}]}, "0 or more"),
        ({"excluded_segments": [{"start_s": 0, "end_s": float("inf")}]}, "end_s` must be seconds"),
        ({"min_copied_s": True}, "min_copied_s` must be seconds"),
        ({"license_windows": [{"channels": ["\ud800"]}]}, "printable text"),
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ([], "must be an object"),
    ],
)
def test_what_cannot_be_is_named(wrong: object, said: str) -> None:
    with pytest.raises(InvalidRights, match=said):
        parse_rights(wrong)


def test_a_check_says_where_and_when() -> None:
    fields = {"channel": "kids", "territory": "de", "time": "2026-03-01T12:00:00+01:00"}
    assert read_form(ContextForm, fields).context() == CheckContext(
        channel="kids", territory="DE", time="2026-03-01T11:00:00.000Z"
    )
    with pytest.raises(InvalidRequest, match="`territory`"):
        read_form(ContextForm, {"territory": "Germany"})
    with pytest.raises(InvalidRequest, match="`time`"):
        read_form(ContextForm, {"time": "now"})
