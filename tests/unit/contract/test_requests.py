"""Forms of requests: what callers may leave empty, and what is said of wrong fields."""

from __future__ import annotations

import pytest

from dubl.contract.forms import read_form
from dubl.contract.requests import BatchForm, ChangeForm, CheckForm, FrameForm, ReferenceForm
from dubl.errors import InvalidRequest, InvalidRights
from dubl.rights.terms import CheckContext
from dubl.types import JobKind

LINK = "https://example.org/a.mp4"


def test_every_wrong_field_is_named() -> None:
    wrong = {"link": "ftp://a", "id": "a\n", "library": "a/b", "title": "x" * 5000, "metadata": "["}
    with pytest.raises(InvalidRequest) as caught:
        read_form(ReferenceForm, wrong)
    assert caught.value.code == "invalid_request"
    assert caught.value.detail.split("; ") == [
        "`link` must be an http or https address",
        "`id` must be printable text of at most 256 characters",
        "`library` must be 1-64 letters, digits, '_', '.' or '-'",
        "`title` must be text of at most 4096 characters",
        "`metadata` is not valid JSON",
    ]


def test_an_unknown_field_is_named_with_the_known_ones() -> None:
    with pytest.raises(InvalidRequest, match="no field `times`; known: time_s, library"):
        read_form(FrameForm, {"times": 1})


def test_wrong_rights_and_places_have_their_own_code() -> None:
    for fields in ({"territory": "Bavaria"}, {"time": "soon"}, {"channel": 7}):
        with pytest.raises(InvalidRights):
            read_form(CheckForm, fields)
    windows = [{"from": "2027-01-01", "until": "2026-01-01"}]
    with pytest.raises(InvalidRights, match=r"`license_windows\[0\]` ends before"):
        read_form(ReferenceForm, {"rights": {"license_windows": windows}})
    with pytest.raises(InvalidRights, match="`rights` must be an object"):
        read_form(ReferenceForm, {"rights": []})


def test_null_and_empty_text_are_not_given() -> None:
    empty = {"link": LINK, "id": "", "library": None, "metadata": "", "rights": None, "title": None}
    form = read_form(ReferenceForm, empty)
    assert (form.library, form.metadata) == ("main", {})
    assert form == read_form(ReferenceForm, {"link": LINK})
    assert read_form(ChangeForm, {"title": None}).title == ""


def test_fields_of_a_multipart_body_are_text() -> None:
    form = read_form(ReferenceForm, {"metadata": '{"year": 2020}', "rights": '{"action": "track"}'})
    assert (form.metadata, form.rights.action) == ({"year": 2020}, "track")
    assert read_form(FrameForm, {"time_s": "2.5"}).time_s == 2.5


def test_a_batch_says_where_its_videos_would_be_shown() -> None:
    fields = {"links": [LINK], "kind": "reference", "channel": "kids", "territory": "de"}
    form = read_form(BatchForm, fields)
    assert (form.kind, form.links) == (JobKind.REFERENCE, (LINK,))
    assert form.context() == CheckContext(channel="kids", territory="DE")
    with pytest.raises(InvalidRequest, match=r"`links\[1\]` must be an http"):
        read_form(BatchForm, {"links": [LINK, "file:///etc/passwd"]})
