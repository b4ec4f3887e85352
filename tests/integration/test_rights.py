"""Rights over the whole service, with true videos; in this process, without Ray."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dubl.client.client import Client
from dubl.contract.bodies import Check, ExcludedSegment, LicenseWindow, Match, Rights
from dubl.settings import Settings, load_settings
from tests.integration.conftest import WEBHOOK_SECRET, Clips
from tests.support.in_process import running_app


@pytest.fixture(scope="module")
def settings(clips: Clips, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    overrides = [
        f"data_dir={tmp_path_factory.mktemp('rights')}",
        f"media.allowed_roots=[{clips.folder}]",
        "lookback.keep_uploads=true",
        "lookback.delay_s=0",
        "evidence.keep=all",
        "matching.negative_libraries=[common]",
        "flood.least=5",
    ]
    secret = {"DUBL__WEBHOOKS__SECRET": WEBHOOK_SECRET}
    return load_settings("configs/local.yaml", overrides, environment=secret)


@pytest.fixture(scope="module")
def dubl(settings: Settings) -> Iterator[Client]:
    with running_app(settings) as address, Client(address) as client:
        yield client


@pytest.fixture
def copy(dubl: Client, clips: Clips) -> Iterator[tuple[Path, str]]:
    """A trimmed copy and the id of its reference, whose rights are taken back afterwards."""
    path = clips.queries("trim")[0]
    original = clips.truth.queries[path.name].matches[0].reference
    reference = dubl.register(clips.folder / "references" / original, id="film", owner="studio")
    yield path, reference.id
    dubl.update_reference(reference.id, rights=Rights())


def match_of(check: Check, reference_id: str) -> Match:
    return next(one for one in check.matches if one.reference_id == reference_id)


def test_a_license_decides_here_and_now_and_its_end_the_next_check(
    dubl: Client, copy: tuple[Path, str]
) -> None:
    path, film = copy
    check = dubl.check(path)
    assert (check.outcome, check.action) == ("duplicate", "block")
    assert match_of(check, film).rights.reason == "no license is registered"

    window = LicenseWindow(since="2026-01-01", territories=("DE",))
    dubl.update_reference(film, rights=Rights(action="track", license_windows=(window,)))
    here = dubl.check(path, territory="DE", time="2026-06-01")
    assert (here.outcome, here.action, here.probability) == ("unique", "allow", 0.0)
    assert match_of(here, film).rights.licensed
    assert here.context.territory == "DE"
    elsewhere = dubl.check(path, territory="FR", time="2026-06-01")
    assert (elsewhere.outcome, elsewhere.action) == ("duplicate", "track")
    assert "not for FR" in match_of(elsewhere, film).rights.reason

    dubl.update_reference(film, rights=Rights())
    assert dubl.check(path, territory="DE", time="2026-06-01").outcome == "duplicate"
    states = {(one.check_id, one.state) for one in dubl.review_queue(state="licensed").items}
    assert states == {(here.id, "licensed")}


def test_what_lies_in_an_excluded_segment_is_cut_or_gone(
    dubl: Client, copy: tuple[Path, str]
) -> None:
    path, film = copy
    (whole,) = match_of(dubl.check(path), film).segments
    middle_s = (whole.reference_start_s + whole.reference_end_s) / 2
    intro = ExcludedSegment(start_s=0.0, end_s=middle_s, label="intro")
    dubl.update_reference(film, rights=Rights(excluded_segments=(intro,)))
    check = dubl.check(path)
    match = match_of(check, film)
    assert check.outcome == "duplicate"
    assert min(one.reference_start_s for one in match.segments) == pytest.approx(middle_s, abs=0.1)
    assert match.rights.excluded_s == pytest.approx(middle_s - whole.reference_start_s, abs=0.5)

    everything = ExcludedSegment(start_s=0.0, end_s=3600.0)
    dubl.update_reference(film, rights=Rights(excluded_segments=(everything,)))
    assert dubl.check(path).outcome == "unique"


def test_a_short_copy_may_be_too_short_for_its_owner(dubl: Client, copy: tuple[Path, str]) -> None:
    path, film = copy
    copied_s = match_of(dubl.check(path), film).rights.copied_s
    dubl.update_reference(film, rights=Rights(min_copied_s=copied_s + 1))
    check = dubl.check(path)
    assert check.outcome == "unique"
    assert match_of(check, film).rights.reason_code == "too_short"


HOOK = "https://example.org/hook"


def jobs(dubl: Client, kind: str) -> list[dict[str, object]]:
    listed = json.loads(dubl.download("/v1/jobs?limit=100"))["items"]
    return [job for job in listed if job["kind"] == kind]


def ended(dubl: Client, subject_id: str) -> dict[str, object]:
    """The job about that, when it has ended."""
    while True:
        found = [job for job in jobs(dubl, "lookback") if job["subject_id"] == subject_id]
        if found and found[0]["status"] not in ("queued", "running"):
            return found[0]
        time.sleep(0.2)


def test_a_new_reference_is_found_in_what_was_uploaded_before(dubl: Client, clips: Clips) -> None:
    upload, stranger = clips.queries("trim")[1], clips.queries("stranger")[0]
    early = dubl.check(upload, callback_url=HOOK, territory="RU")
    assert dubl.check(stranger).outcome == "unique"
    assert early.outcome != "duplicate"
    original = clips.truth.queries[upload.name].matches[0].reference
    dubl.register(clips.folder / "references" / original, id="late")

    assert ended(dubl, "lookback/late")["status"] == "done"
    (late,) = dubl.list_checks(reference_id="late").items
    assert (late.outcome, late.earlier_id) == ("duplicate", early.id)
    assert (late.query_sha256, late.context.territory) == (early.query_sha256, "RU")
    (waiting,) = [one for one in dubl.review_queue().items if one.reference_id == "late"]
    assert waiting.check_id == late.id
    assert dubl.get_evidence(late.id, "late").pairs[0].query_picture
    told = json.loads(dubl.download("/v1/deliveries"))["items"]
    assert [one["url"] for one in told] == [HOOK, HOOK]


def test_a_reference_is_found_by_one_of_its_pictures(dubl: Client, clips: Clips) -> None:
    path = clips.references[2]
    reference = dubl.register(path, id="pictured")
    found = dubl.search_frame(path, time_s=4.0)
    assert found[0].reference_id == reference.id
    assert any(span.start_s - 1.0 <= 4.0 <= span.end_s + 1.0 for span in found[0].spans)


def test_near_misses_are_listed(dubl: Client, clips: Clips) -> None:
    dubl.register(clips.references[2], id="pictured")
    check = dubl.check(clips.queries("stranger")[0])
    assert check.matches == ()
    assert dubl.nearest(check.id, m=1)[0].probability < 0.5


def test_common_material_is_no_copy_of_anybody(dubl: Client, clips: Clips) -> None:
    path = clips.queries("recode")[2]
    dubl.register(clips.references[2], id="pictured")
    assert "pictured" in [one.reference_id for one in dubl.check(path).matches]
    dubl.register(clips.references[2], id="trailer", library="common")
    check = dubl.check(path, libraries=["main"])
    (near,) = [one for one in dubl.nearest(check.id, m=50) if one.reference_id == "pictured"]
    assert check.outcome == "unique"
    assert near.rights.reason_code == "common"
    assert near.rights.common_s > 5
    dubl.delete_reference("trailer")


def test_bytes_appended_to_a_copy_do_not_unblock_it(dubl: Client, copy: tuple[Path, str]) -> None:
    path, film = copy
    for number in range(5):
        again = path.parent / f"flood_{number}{path.suffix}"
        again.write_bytes(path.read_bytes() + bytes([0, 0, 0, 8]) + b"free" * (number + 1))
        check = dubl.check(again)
        again.unlink()
        assert check.outcome == "duplicate"
    assert film not in [one.reference_id for one in dubl.list_quarantines(status="held")]
    assert dubl.check(path).outcome == "duplicate"
