"""Reviewers at the console, in a real browser over a service in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from fastapi.testclient import TestClient
from playwright.sync_api import Browser, Page, expect

from dubl.contract.orders import CheckOrder, VideoInput
from dubl.errors import NoVideoStream
from dubl.types import (
    Limit,
    Outcome,
    QueueFilter,
    ReferenceDraft,
    ReviewState,
    Scope,
    Term,
    log_odds,
)
from tests.support.browser import chromium
from tests.support.fake_service import MATCH, FakeService
from tests.support.http_server import serving

CHECKS = ("c-1", "c-2", "c-3")


@pytest.fixture
def service(tmp_path: Path) -> FakeService:
    made = FakeService(tmp_path / "data")
    for check_id in CHECKS:
        check = made.verdict_on(CheckOrder(id=check_id, video=VideoInput()))
        made.ledger.record_check(dataclasses.replace(check, query_name=f"{check_id}.mp4"))
    return made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def states(service: FakeService) -> dict[str, str]:
    items = service.ledger.reviews.queue(
        QueueFilter(state=None, reference_id=MATCH.reference_id)
    ).items
    return {item.check_id: item.state.value for item in items}


def focus(page: Page, check_id: str) -> None:
    page.locator("a.match", has_text=check_id).focus()


def test_undo_takes_the_last_decision_back_and_no_other(
    service: FakeService, browser: Browser
) -> None:
    with serving(service.app()) as address:
        page = browser.new_page(locale="en-US")
        page.goto(f"{address}/#/queue")
        expect(page.locator("a.match")).to_have_count(len(CHECKS))
        focus(page, "c-2")
        page.keyboard.press("c")
        expect(page.locator("a.match", has_text="c-2")).to_have_count(0)
        assert states(service) == {"c-1": "open", "c-2": "confirmed", "c-3": "open"}
        page.route("**/v1/reviews/many", lambda route: route.abort())
        page.keyboard.press("u")
        expect(page.locator(".toast.bad")).to_have_count(1)
        page.unroute("**/v1/reviews/many")
        page.keyboard.press("u")  # what failed can be tried again
        expect(page.locator("a.match", has_text="c-2")).to_have_count(1)
        page.keyboard.press("z")
        expect(page.locator(".toast", has_text="Nothing to undo")).to_have_count(1)
        page.locator("#search").fill("c-3")
        page.keyboard.press("Enter")
        expect(page.locator("a.match")).to_have_count(1)
        page.locator("#outcome").select_option("review")
        expect(page.locator("a.match")).to_have_count(0)
        page.close()
    assert states(service) == dict.fromkeys(CHECKS, "open")
    assert {one.check_id for one in service.ledger.reviews.list().items} == {"c-2"}


def test_the_second_of_two_reviewers_is_told_and_asked(
    service: FakeService, browser: Browser
) -> None:
    keys = {name: service.issue(Scope.REVIEW, name=name) for name in ("anna", "boris")}
    with serving(service.app(keys_required=True)) as address:
        pages = {}
        for name, token in keys.items():
            context = browser.new_context(locale="en-US")
            headers = {"Authorization": f"Bearer {token}"}
            assert context.request.post(f"{address}/v1/session", headers=headers).ok
            pages[name] = context.new_page()
            pages[name].goto(f"{address}/#/queue")
            expect(pages[name].locator("a.match")).to_have_count(len(CHECKS))
        focus(pages["anna"], "c-1")
        pages["anna"].keyboard.press("c")
        expect(pages["anna"].locator("a.match")).to_have_count(2)
        focus(pages["boris"], "c-1")
        pages["boris"].keyboard.press("r")
        told = pages["boris"].locator("dialog")
        expect(told).to_contain_text("anna has decided meanwhile: Confirmed.")
        told.get_by_role("button", name="Cancel").click()
        expect(pages["boris"].locator("a.match")).to_have_count(2)
        assert states(service)["c-1"] == "confirmed"
    (entry,) = service.ledger.reviews.list().items
    assert entry.reviewer == "anna"


def test_a_decision_on_what_is_no_longer_so_is_refused_with_who_and_when(
    service: FakeService,
) -> None:
    token = service.issue(Scope.REVIEW, name="anna")
    client = TestClient(service.app(keys_required=True))
    match = {"check_id": "c-1", "reference_id": MATCH.reference_id}
    client.headers["Authorization"] = f"Bearer {token}"
    first = client.post(
        "/v1/reviews", json={**match, "decision": "confirmed", "if_state": ReviewState.OPEN}
    )
    assert (first.status_code, first.json()["reviewer"]) == (201, "anna")
    late = client.post("/v1/reviews", json={**match, "decision": "rejected", "if_state": "open"})
    assert (late.status_code, late.json()["code"]) == (409, "state_conflict")
    assert late.json()["context"] == {
        "state": "confirmed",
        "reviewer": "anna",
        "decided_at": first.json()["created_at"],
    }
    again = {**match, "decision": "rejected", "if_state": "confirmed", "reviewer": "boris"}
    assert client.post("/v1/reviews", json=again).json()["reviewer"] == "boris"


def test_a_wrong_key_is_told(service: FakeService, browser: Browser) -> None:
    with serving(service.app(keys_required=True)) as address:
        page = browser.new_page(locale="en-US")
        page.goto(f"{address}/#/queue")
        expect(page.locator("dialog")).to_be_visible()
        page.locator("#key").fill("dubl_wrong_key")
        page.keyboard.press("Enter")
        expect(page.locator("dialog")).to_contain_text("does not know this key")
        page.close()


def test_a_log_in_holds_in_every_tab_until_log_out(service: FakeService, browser: Browser) -> None:
    token = service.issue(Scope.REVIEW, name="anna")
    with serving(service.app(keys_required=True)) as address:
        context = browser.new_context(locale="en-US")
        page = context.new_page()
        page.goto(f"{address}/#/queue")
        page.locator("#key").fill(token)
        page.keyboard.press("Enter")
        expect(page.locator("a.match")).to_have_count(len(CHECKS))
        (cookie,) = context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        assert token not in cookie["value"]
        other = context.new_page()
        other.goto(f"{address}/#/queue")
        expect(other.locator("a.match")).to_have_count(len(CHECKS))
        focus(other, "c-1")
        other.keyboard.press("c")
        expect(other.locator("a.match")).to_have_count(len(CHECKS) - 1)
        other.get_by_role("button", name="Log out").click()
        expect(other.locator("dialog")).to_be_visible()
        assert context.cookies() == []
        context.close()
    (entry,) = service.ledger.reviews.list().items
    assert entry.reviewer == "anna"


def test_many_are_decided_after_a_preview_and_undone_together(
    service: FakeService, browser: Browser
) -> None:
    service.library.add(ReferenceDraft(id=MATCH.reference_id, library="main", title="The Film"))
    with serving(service.app()) as address:
        page = browser.new_page(locale="en-US")
        page.goto(f"{address}/#/queue")
        expect(page.locator("a.match").first).to_contain_text("The Film")
        page.locator("#sort").select_option("reference")
        page.locator("#sort").select_option("upload")
        expect(page.locator("li.group")).to_have_count(len(CHECKS))
        page.get_by_label("Select all of c-2.mp4").check()
        expect(page.get_by_text("1 selected")).to_be_visible()
        page.locator("#sort").select_option("reference")
        expect(page.locator("li.group")).to_have_count(1)
        page.get_by_label("Select all of The Film").check()
        page.get_by_label("Select c-2.mp4 and The Film").uncheck()
        page.keyboard.press("r")
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("c-1.mp4 → The Film")
        assert states(service) == dict.fromkeys(CHECKS, "open"), "it is only shown before"
        assert Axe().run(page).response["violations"] == []
        dialog.get_by_role("button", name="Not a match: 2").click()
        expect(page.locator("a.match")).to_have_count(1)
        assert states(service) == {"c-1": "rejected", "c-2": "open", "c-3": "rejected"}
        page.keyboard.press("z")
        expect(page.locator("a.match")).to_have_count(3)
        page.close()
    assert states(service) == dict.fromkeys(CHECKS, "open")


def test_filters_count_narrow_and_stay_when_a_match_was_opened(
    service: FakeService, browser: Browser
) -> None:
    service.library.add(
        ReferenceDraft(id=MATCH.reference_id, library="main", title="The Film", owner="Studio")
    )
    with serving(service.app()) as address:
        page = browser.new_page(locale="en-US")
        page.goto(f"{address}/#/queue")
        page.get_by_text("More filters").click()
        expect(page.get_by_label("Owner")).to_contain_text("Studio · 3")
        page.get_by_label("Owner").select_option("Studio")
        page.locator("#search").fill("the film")
        page.keyboard.press("Enter")
        expect(page.locator("a.match")).to_have_count(3)
        page.get_by_label("Probability from, %").fill("98")
        page.keyboard.press("Enter")
        expect(page.locator("a.match")).to_have_count(0)
        page.goto(f"{address}/#/")
        page.goto(f"{address}/#/queue")
        expect(page.get_by_label("Probability from, %")).to_have_value("98")
        page.get_by_role("button", name="Clear filters").click()
        expect(page.locator("a.match")).to_have_count(3)
        page.close()


def test_many_files_are_checked_and_each_has_its_verdict(tmp_path: Path, browser: Browser) -> None:
    service = FakeService(tmp_path / "data", prompt=True)
    files = [tmp_path / f"video {number}.mp4" for number in range(3)]
    for number, file in enumerate(files):
        file.write_bytes(bytes([number]) * 1000)
    with serving(service.app()) as address:
        page = browser.new_page(locale="en-US")
        page.goto(f"{address}/#/")
        page.set_input_files("#file", files)
        expect(page.get_by_text("3 of 3 checked, 0 failed")).to_be_visible()
        expect(page.locator(".card .list").first.locator("a .badge")).to_have_count(3)
        service.ends = NoVideoStream("only sound")
        page.set_input_files("#file", files[:2])
        expect(page.get_by_text("2 of 2 checked, 2 failed")).to_be_visible()
        expect(page.locator(".card .list").first).to_contain_text("only sound")
        page.get_by_role("link", name="All checks").click()
        page.get_by_label("Name of the upload").fill("no such name")
        page.keyboard.press("Enter")
        expect(page.get_by_text("No check was found.")).to_be_visible()
        page.close()


def test_a_dispute_is_recorded_answered_and_its_seconds_excluded(
    service: FakeService, browser: Browser
) -> None:
    service.library.add(ReferenceDraft(id=MATCH.reference_id, library="main", title="The Film"))
    with serving(service.app()) as address:
        page = browser.new_page(locale="en-US")
        page.goto(f"{address}/#/checks/c-1/matches/{MATCH.reference_id}")
        page.get_by_role("button", name="Dispute…").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Why the uploader objects").fill("it is mine")
        dialog.get_by_label("To be answered until").fill("2099-01-02")
        assert Axe().run(page).response["violations"] == []
        dialog.get_by_role("button", name="Record the dispute").click()
        expect(page.locator(".history")).to_contain_text("it is mine")
        assert states(service)["c-1"] == "disputed"
        assert Axe().run(page).response["violations"] == []
        page.get_by_role("button", name="Uphold").click()
        expect(page.locator(".review .chip.upheld").first).to_be_visible()
        page.get_by_role("button", name="Release, exclude these seconds").click()
        page.get_by_role("dialog").get_by_role("button", name="Release, exclude").click()
        expect(page.locator(".review .chip.released").first).to_be_visible()
        page.goto(f"{address}/#/queue")
        page.get_by_role("button", name="Released 1").click()
        expect(page.locator("a.match")).to_have_count(1)
        page.close()
    assert states(service) == {"c-1": "released", "c-2": "open", "c-3": "open"}
    (excluded,) = service.library.references[MATCH.reference_id].rights.excluded_segments
    (segment,) = MATCH.segments
    assert (excluded.start_s, excluded.end_s) == (
        segment.reference_start_s,
        segment.reference_end_s,
    )


def test_disputes_over_http(service: FakeService) -> None:
    service.library.add(ReferenceDraft(id=MATCH.reference_id, library="main"))
    client = TestClient(service.app(keys_required=True))
    headers = {
        scope: {"Authorization": f"Bearer {service.issue(*scopes)}"}
        for scope, scopes in {
            "review": (Scope.REVIEW,),
            "rights": (Scope.REVIEW, Scope.REGISTER),
        }.items()
    }

    def say(decision: str, *, scope: str = "review", **more: object) -> tuple[int, str]:
        match = {"check_id": "c-1", "reference_id": MATCH.reference_id, "decision": decision}
        answer = client.post("/v1/reviews", json={**match, **more}, headers=headers[scope])
        return answer.status_code, answer.json().get("detail", "")

    assert say("disputed") == (400, "body: disputed needs a `note`")
    assert say("confirmed", until="2099-01-01")[0] == 400
    assert say("confirmed", exclude=True)[0] == 400
    assert say("upheld")[0] == 409
    assert say("disputed", note="mine", until="2099-01-01")[0] == 201
    queue = client.get("/v1/reviews/queue?state=disputed", headers=headers["review"]).json()
    assert queue["items"][0]["until"] == "2099-01-01T00:00:00.000Z"
    assert say("released", exclude=True)[0] == 403
    assert states(service)["c-1"] == "disputed", "nothing is done by halves"
    assert say("released", exclude=True, scope="rights")[0] == 201
    assert say("released", exclude=True, scope="rights")[0] == 201


def test_a_probability_that_a_rule_holds_down_is_told_with_what_led_to_it(
    service: FakeService, browser: Browser, tmp_path: Path
) -> None:
    video = tmp_path / "video.mp4"
    video.write_bytes(b"")
    base = Term(name="base", value=1.0, log_odds=-7.5)
    motion = Term(name="motion", value=0.9, log_odds=log_odds(0.7) + 7.5)
    seen = dataclasses.replace(MATCH, probability=0.7, terms=(base, motion)).at(0.99, "pixels", 0.9)
    held = seen.below(0.8, Limit.UNPROVEN)
    check = service.verdict_on(CheckOrder(id="held", video=VideoInput()))
    verdict = dataclasses.replace(check.verdict, matches=(held,), outcome=Outcome.REVIEW)
    service.ledger.record_check(dataclasses.replace(check, verdict=verdict))
    for name in ("held", MATCH.reference_id):
        service.videos.files[name] = video
    client = TestClient(service.app())
    at = f"/v1/checks/held/matches/{MATCH.reference_id}/evidence"
    evidence = client.get(at).json()
    assert evidence["limit"] == "unproven"
    assert evidence["limit_reason"] == "too little moves for the pixels to prove a copy"
    assert [one["name"] for one in evidence["terms"]] == ["base", "motion", "pixels", "unproven"]
    assert client.get("/v1/checks/held").json()["matches"][0]["limit"] == "unproven"
    (item,) = client.get("/v1/reviews/queue?check_id=held").json()["items"]
    assert item["limit"] == "unproven"
    with serving(service.app()) as address:
        page = browser.new_page(locale="en-US", viewport={"width": 1280, "height": 1100})
        page.goto(f"{address}/#/checks/held/matches/{MATCH.reference_id}")
        expect(page.locator(".held")).to_contain_text("too little moves for the pixels")
        expect(page.locator(".terms tbody tr")).to_have_count(4)
        expect(page.locator(".terms")).to_contain_text("Held down: pixels prove nothing")
        assert Axe().run(page).response["violations"] == []
        page.goto(f"{address}/#/queue")
        expect(page.locator("a.match", has_text="too little moves")).to_have_count(1)
        page.close()


def test_a_video_is_compared_with_a_reference_from_its_page(
    tmp_path: Path, browser: Browser
) -> None:
    service = FakeService(tmp_path / "data", prompt=True)
    service.library.add(ReferenceDraft(id=MATCH.reference_id, library="main", title="The Film"))
    with serving(service.app()) as address:
        page = browser.new_page(locale="en-US")
        page.goto(f"{address}/#/references/{MATCH.reference_id}")
        page.get_by_role("link", name="Compare a video with it").click()
        expect(page.get_by_label("Compare with reference (id)")).to_have_value(MATCH.reference_id)
        assert Axe().run(page).response["violations"] == []
        page.locator("#link").fill("https://example.org/a.mp4")
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/matches/{MATCH.reference_id}")
        page.close()
    (order,) = service.orders
    assert isinstance(order, CheckOrder)
    assert order.reference_id == MATCH.reference_id
    service.close()
