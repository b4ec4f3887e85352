"""A reviewer's day in a real browser: the console over a real service."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, Route, expect

from dubl.contract.bodies import DuplicateCluster, DuplicateMember, DuplicatePair
from dubl.evaluation.attack_suite import SuiteOptions, write_suite
from dubl.evaluation.suite import QUERIES, REFERENCES, SuiteRoles, SuiteTruth
from dubl.footage.scenes import generate_library
from dubl.index.duplicates import write_duplicates
from tests.support.browser import chromium
from tests.support.service import Client

# A busy machine needs longer than the five seconds of Playwright.
expect.set_options(timeout=30_000)
ATTACKS = ("trim:0.4", "mirror")
DESKTOP = {"width": 1280, "height": 860}
# Resolves when the slider has come that far; strings of script are not run on the page.
PASSES = """(slider, value) => new Promise(done => {
    const look = () => slider.value > value ? done() : requestAnimationFrame(look);
    look();
})"""
# Resolves with the mean level of a canvas, 0 black to 255 white, once it is between two values.
LEVEL = """(canvas, [low, high]) => new Promise((done, fail) => {
    const end = Date.now() + 30000;
    const look = () => {
        const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        let sum = 0;
        for (let i = 0; i < data.length; i += 4) sum += data[i] + data[i + 1] + data[i + 2];
        const level = sum / (data.length / 4) / 3;
        if (level >= low && level < high) done(level);
        else if (Date.now() > end) fail(new Error(`the level stays ${level}`));
        else setTimeout(look, 50);
    };
    look();
})"""
PHONE = {"width": 390, "height": 844}
PAGES = {
    "check": "#/",
    "queue": "#/queue",
    "checks": "#/checks",
    "library": "#/library",
    "clusters": "#/clusters/main",
    "status": "#/status",
}
# Set to a folder, it gets a picture of every page (continuous integration keeps it).
SCREENSHOTS = os.environ.get("CONSOLE_SCREENSHOTS", "")

Suite = tuple[Path, SuiteTruth]


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    folder = tmp_path_factory.mktemp("console")
    made = generate_library(
        folder / "made", count=3, seed=5, size=(320, 180), shortest_s=6, longest_s=8
    )
    options = SuiteOptions(edits=ATTACKS, per_reference=0)
    roles = SuiteRoles(references=tuple(made[:2]), strangers=tuple(made[2:]))
    return folder / "suite", write_suite(folder / "suite", roles, options=options)


@pytest.fixture(scope="module")
def address(service: str, service_data: Path, suite: Suite) -> str:
    """The service knows one reference; the browser registers the other. Duplicates were looked
    for."""
    folder, truth = suite
    members = tuple(
        DuplicateMember(id=name, title=title, duration_s=7.0)
        for name, title in (("first", "First"), ("again", ""), ("shorter", "A shorter copy of it"))
    )
    pairs = (
        DuplicatePair(a="first", b="again", probability=0.99),
        DuplicatePair(a="first", b="shorter", probability=0.93),
    )
    write_duplicates(service_data, "main", (DuplicateCluster(members=members, pairs=pairs),))
    with Client(service) as client:
        path = folder / REFERENCES / truth.references[0]
        assert client.register(path, id="first", title="First", owner="Studio").status_code == 201
    return service


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """An English tab that fails the test on any error of a script or of the content policy, and
    on any request to another host."""
    context = browser.new_context(viewport=DESKTOP, locale="en-US", base_url=address)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: said.type == "error" and problems.append(said.text))
    page.on(
        "request",
        lambda sent: sent.url.startswith((address, "blob:")) or problems.append(sent.url),
    )
    yield page
    context.close()
    expected = "Failed to load resource: the server responded with a status of 404"
    assert [text for text in problems if expected not in text] == []


def query(suite: Suite, attack: str, reference: int = 0) -> Path:
    folder, truth = suite
    wanted = truth.references[reference]
    return next(
        folder / QUERIES / name
        for name, one in truth.queries.items()
        if one.attack == attack and one.matches[0].reference == wanted
    )


def check(page: Page, path: Path) -> None:
    """Drops a file and waits for the verdict."""
    page.goto("/#/")
    page.set_input_files("#file", path)
    expect(page.locator(".verdict .badge")).to_be_visible(timeout=60_000)


def open_match(page: Page, path: Path) -> None:
    check(page, path)
    page.locator("a.match").first.click()
    expect(page.locator(".player")).to_be_visible()
    expect(page.locator(".screen video, .screen img")).to_have_count(2, timeout=20_000)


def visit(page: Page, place: str) -> None:
    page.goto(f"/{place}")
    page.reload()
    expect(page.locator("main h1").first).to_be_visible()
    page.wait_for_load_state("networkidle")


def keep_picture(page: Page, name: str) -> None:
    if SCREENSHOTS:
        Path(SCREENSHOTS).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png", full_page=True)


def test_a_reviewer_registers_checks_looks_and_decides(page: Page, suite: Suite) -> None:
    folder, truth = suite
    page.goto("/#/library")
    page.get_by_role("button", name="Add a video").click()
    page.set_input_files("#add-file", folder / REFERENCES / truth.references[1])
    page.get_by_label("Title", exact=True).fill("Second take")
    page.get_by_role("dialog").get_by_role("button", name="Add a video").click()
    page.get_by_role("link", name=re.compile("Second take")).click(timeout=60_000)
    expect(page.get_by_role("heading", name="Second take")).to_be_visible()

    open_match(page, query(suite, "trim", reference=1))
    expect(page.locator(".verdict .badge")).to_have_text("Duplicate")
    expect(page.locator(".pair img").first).to_have_js_property("complete", True)
    page.get_by_label("Your name").fill("Anna")
    page.get_by_label("Note").fill("the same take")
    page.get_by_role("button", name=re.compile("Confirm")).click()
    expect(page.locator(".history")).to_contain_text("the same take")
    expect(page.locator(".history")).to_contain_text("Anna")
    keep_picture(page, "match")

    page.goto("/#/queue")
    page.get_by_role("button", name=re.compile("Confirmed")).click()
    expect(page.locator("a.match")).to_have_count(1)


def test_not_a_match_by_keyboard_is_not_reported_again(page: Page, suite: Suite) -> None:
    path = query(suite, "trim")
    check(page, path)
    expect(page.locator(".verdict .badge")).to_have_text("Duplicate")
    page.goto("/#/queue")
    row = page.locator("a.match", has_text=path.name)
    expect(row).to_have_count(1)
    while not row.evaluate("row => row === document.activeElement"):
        page.keyboard.press("j")
    keep_picture(page, "queue")
    page.keyboard.press("r")
    expect(row).to_have_count(0)
    check(page, path)
    expect(page.locator(".verdict .badge")).not_to_have_text("Duplicate")


def test_both_players_follow_the_matrix_the_stretches_and_the_keys(
    page: Page, suite: Suite
) -> None:
    open_match(page, query(suite, "mirror"))
    expect(page.get_by_text("Mirrored")).to_be_visible()
    slider = page.get_by_label("Position in the checked video")
    page.locator(".stretch").first.click()
    start = float(slider.input_value())
    page.keyboard.press("ArrowRight")
    assert float(slider.input_value()) == pytest.approx(start + 0.1, abs=0.06)
    box = page.locator(".matrix").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.5)
    length = float(slider.get_attribute("max") or 0)
    assert float(slider.input_value()) == pytest.approx(length / 2, abs=0.3)
    page.get_by_role("button", name="Difference").click()
    canvas = page.get_by_role("img", name="Both videos in one picture")
    expect(canvas).to_be_visible()
    canvas.evaluate(LEVEL, [0, 60])  # the mirrored reference cancels out
    page.get_by_role("button", name="Side by side").click()
    page.get_by_role("button", name="Play both").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    slider.evaluate(PASSES, length / 2 + 0.5)
    page.locator("main").press("Space")
    expect(page.get_by_role("button", name="Play both")).to_be_visible()


def test_the_difference_shows_the_frames_that_a_click_asked_for(page: Page, suite: Suite) -> None:
    open_match(page, query(suite, "mirror"))
    page.get_by_role("button", name="Difference").click()
    canvas = page.get_by_role("img", name="Both videos in one picture")
    same = canvas.evaluate(LEVEL, [0, 60])
    matrix = page.locator(".matrix")
    box = matrix.bounding_box()
    assert box is not None
    matrix.click(position={"x": box["width"] * 0.95, "y": box["height"] * 0.05})
    canvas.evaluate(LEVEL, [1.5 * same, 255])  # other instants of both: they do not cancel out
    page.locator(".stretch").first.click()
    canvas.evaluate(LEVEL, [0, 1.2 * same])


def test_a_reference_is_found_edited_and_deleted(page: Page, address: str, suite: Suite) -> None:
    folder, _ = suite
    stranger = sorted((folder / QUERIES).glob("stranger*"))[0]
    with Client(address) as client:
        assert client.register(stranger, id="spare", title="Spare").status_code == 201
    page.goto("/#/library")
    page.get_by_label("Search id, title or source").fill("spar")
    page.get_by_role("button", name="Search").click()
    expect(page.locator(".shelf-item")).to_have_count(1)
    page.locator(".shelf-item").click()
    page.get_by_role("button", name="Edit").click()
    page.get_by_label("Owner").fill("Мосфильм")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("dl").last).to_contain_text("Мосфильм")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Library")).to_be_visible()
    expect(page.get_by_text("Spare", exact=True)).to_have_count(0)


def edit_rights(page: Page) -> Locator:
    page.goto("/#/references/first")
    page.reload()
    page.get_by_role("button", name="Change rights").focus()
    page.keyboard.press("Enter")
    return page.get_by_role("dialog")


def save_rights(page: Page) -> None:
    page.keyboard.press("Enter")  # in any field of the form
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_rights_are_edited_by_keyboard_and_the_next_check_changes(page: Page, suite: Suite) -> None:
    path = query(suite, "mirror")
    dialog = edit_rights(page)
    dialog.get_by_role("button", name="Add a license").press("Enter")
    expect(dialog.get_by_label("From (UTC)")).to_be_focused()
    dialog.get_by_label("From (UTC)").fill("2020-01-01T00:00")
    dialog.get_by_label("Until (UTC)").fill("2019-01-01T00:00")
    dialog.get_by_label("Countries").fill("DE, FR")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("is before its start")
    dialog.get_by_label("Until (UTC)").fill("")
    assert Axe().run(page).response["violations"] == []
    keep_picture(page, "rights")
    dialog.get_by_label("Countries").press("Enter")
    expect(dialog).to_have_count(0)
    expect(page.locator(".rights")).to_contain_text("without end · DE, FR · all channels")

    check(page, path)
    expect(page.locator(".verdict .badge")).to_have_text("Duplicate")
    expect(page.locator(".ruling").first).to_contain_text("the check named none")
    page.goto("/#/")
    page.get_by_text("Where the video will be shown").click()
    page.get_by_label("Country (two letters)").fill("fr")
    page.set_input_files("#file", path)
    expect(page.locator(".verdict .badge")).to_have_text("Unique", timeout=60_000)
    expect(page.locator(".ruling").first).to_contain_text("licensed in DE, FR")
    page.locator("a.match").first.click()
    expect(page.locator(".verdict .ruling")).to_contain_text("Does not count")
    keep_picture(page, "licensed")

    dialog = edit_rights(page)
    dialog.get_by_role("button", name="Remove: License 1").press("Enter")
    dialog.get_by_role("button", name="Add a segment").press("Enter")
    dialog.get_by_label("Start, s").fill("0")
    dialog.get_by_label("End, s").fill("900")
    dialog.get_by_label("Label").fill("intro")
    save_rights(page)
    expect(page.locator(".rights")).to_contain_text("intro")
    check(page, path)
    expect(page.locator(".verdict .badge")).to_have_text("Unique")
    page.get_by_role("button", name="Show the nearest references").click()
    expect(page.locator(".ruling", has_text="in excluded segments")).to_have_count(1)

    dialog = edit_rights(page)
    dialog.get_by_role("button", name="Remove: Segment 1").press("Enter")
    dialog.get_by_label("Minimum copied seconds").press("Enter")
    expect(dialog).to_have_count(0)
    check(page, path)
    expect(page.locator(".verdict .badge")).to_have_text("Duplicate")


def test_a_quarantine_is_shown_until_a_person_decides(page: Page) -> None:
    held = {
        "reference_id": "first",
        "library": "main",
        "status": "held",
        "uploads": 140,
        "usual": 2.5,
        "created_at": "2026-01-02T03:04:05.000Z",
        "reviewer": "",
        "note": "",
        "decided_at": None,
    }
    sent: list[str] = []

    def answer(route: Route) -> None:
        if route.request.method == "POST":
            sent.append(route.request.post_data_json["decision"])
            held["status"] = "released"
        body = held if route.request.method == "POST" else {"items": [held]}
        route.fulfill(json=body)

    page.route("**/v1/reviews/quarantine", answer)
    for place in ("#/queue", "#/references/first", "#/status"):
        visit(page, place)
        expect(page.locator(".quarantine")).to_contain_text("Matches of 140 different uploads")
        assert Axe().run(page).response["violations"] == []
    keep_picture(page, "quarantine")
    page.get_by_role("button", name="Release: first").press("Enter")
    expect(page.locator(".quarantine")).to_have_count(0)
    assert sent == ["release"]


def test_a_zip_is_taken_in_and_what_failed_in_it_is_named(
    page: Page, suite: Suite, tmp_path: Path
) -> None:
    folder, truth = suite
    path = tmp_path / "films.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(folder / REFERENCES / truth.references[1], "second.mp4")
        archive.writestr("letter.mp4", "Dear reviewer")
    page.goto("/#/library")
    page.get_by_role("button", name="Add a zip").click()
    page.set_input_files("#zip-file", path)
    page.get_by_label("Library", exact=True).last.fill("films")
    page.get_by_label("Owner").fill("Studio")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("1 of 2 registered, 1 failed")).to_be_visible(timeout=60_000)
    expect(page.locator(".failures")).to_contain_text("Send a video file")
    keep_picture(page, "zip")
    page.get_by_role("button", name="Close").click()
    page.get_by_label("Library", exact=True).select_option("films")
    expect(page.locator(".shelf-item")).to_have_count(1)
    expect(page.locator(".shelf-item")).to_contain_text("Studio")


def test_the_videos_of_a_zip_are_checked(page: Page, suite: Suite, tmp_path: Path) -> None:
    folder, truth = suite
    path = tmp_path / "uploads.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(folder / REFERENCES / truth.references[0], "copy.mp4")
        archive.writestr("letter.mp4", "Dear reviewer")
    page.goto("/#/")
    page.set_input_files("#file", path)
    expect(page.get_by_text("1 of 2 checked, 1 failed")).to_be_visible(timeout=60_000)
    expect(page.locator(".failures")).to_contain_text("letter.mp4")
    expect(page.locator("a.rowlink", has_text="copy.mp4").first).to_contain_text("Duplicate")


def test_duplicates_inside_a_library_are_a_graph_to_walk(page: Page) -> None:
    page.goto("/#/library")
    page.get_by_role("link", name="Duplicates in the library").click()
    expect(page.get_by_role("heading", name="Duplicates in the library")).to_be_visible()
    page.get_by_label("Library", exact=True).select_option("main")
    expect(page.get_by_role("status").first).to_contain_text("Clusters: 1, copies: 2")
    expect(page.locator(".graph circle")).to_have_count(3)
    expect(page.locator(".graph line")).to_have_count(2)
    keep_picture(page, "clusters")
    page.locator(".graph .keeper").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="First")).to_be_visible()
    page.goto("/#/clusters/nothing")
    expect(page.get_by_text("dubl dedupe --library nothing")).to_be_visible()


def test_the_status_page_tells_of_queues_and_of_the_search(page: Page) -> None:
    page.goto("/#/status")
    expect(page.get_by_text("Accepts requests")).to_be_visible()
    index = page.locator(".facts section", has_text="Freshness")
    expect(index).to_contain_text("Frames")
    expect(index).to_contain_text("100%")
    expect(page.locator(".facts section", has_text="Running now")).to_be_visible()


def test_the_contract_is_read_and_filtered_without_another_host(page: Page) -> None:
    page.goto("/docs")
    expect(page.get_by_role("heading", name="Video Duplicate Checker API")).to_be_visible()
    page.get_by_role("searchbox").fill("/v1/batches")
    call = page.locator("details:not([hidden])")
    expect(call).to_have_count(1)
    call.locator("summary").click()
    expect(call).to_contain_text("curl -s -X POST -F file=@video.mp4")
    expect(call).to_contain_text("links: [string, …]")
    keep_picture(page, "docs")
    found = Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []


def test_a_file_that_is_no_video_is_explained(page: Page, tmp_path: Path) -> None:
    text = tmp_path / "letter.mp4"
    text.write_text("Dear reviewer")
    page.goto("/#/")
    page.set_input_files("#file", text)
    expect(page.get_by_role("alert")).to_contain_text("Send a video file", timeout=60_000)


def test_evidence_that_is_gone_leaves_the_decision(page: Page, address: str, suite: Suite) -> None:
    open_match(page, query(suite, "mirror", reference=0))
    identifier = page.url.split("#/checks/")[1].split("/")[0]
    with Client(address) as client:
        assert client.http.delete(f"/v1/checks/{identifier}/evidence").status_code == 204
    page.reload()
    expect(page.get_by_text("It is stored for duplicates and reviews")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("Confirm"))).to_be_visible()


@pytest.fixture(scope="module")
def places(browser: Browser, address: str, suite: Suite) -> dict[str, str]:
    """The pages by name, those of a check and of its match with them."""
    page = browser.new_page(viewport=DESKTOP, base_url=address)
    open_match(page, query(suite, "mirror", reference=0))
    match = page.url.removeprefix(address).removeprefix("/")
    page.close()
    return {
        **PAGES,
        "match": match,
        "result": match.split("/matches")[0],
        "reference": "#/references/first",
    }


every_page = pytest.mark.parametrize("name", [*PAGES, "match", "result", "reference"])


@every_page
@pytest.mark.parametrize(("scheme", "language"), [("light", "en-US"), ("dark", "ru-RU")])
def test_every_page_is_accessible_in_both_languages_and_themes(
    browser: Browser,
    address: str,
    places: dict[str, str],
    name: str,
    scheme: Literal["light", "dark"],
    language: str,
) -> None:
    context = browser.new_context(
        viewport=DESKTOP, locale=language, base_url=address, color_scheme=scheme
    )
    page = context.new_page()
    visit(page, places[name])
    found = Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []
    keep_picture(page, f"{name}_{scheme}")
    context.close()


@every_page
def test_no_page_scrolls_sideways_on_a_phone(
    browser: Browser, address: str, places: dict[str, str], name: str
) -> None:
    context = browser.new_context(
        viewport=PHONE, locale="ru-RU", base_url=address, has_touch=True, is_mobile=True
    )
    page = context.new_page()
    visit(page, places[name])
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    keep_picture(page, f"{name}_phone")
    context.close()


def test_language_and_theme_are_chosen_and_stay(page: Page) -> None:
    page.goto("/#/")
    page.get_by_role("button", name="Русский").click()
    expect(page.get_by_role("heading", name="Проверить видео")).to_be_visible()
    page.get_by_label("Тема: как в системе").click()
    page.get_by_label("Тема: светлая").click()
    page.reload()
    expect(page.locator("html")).to_have_attribute("lang", "ru")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
