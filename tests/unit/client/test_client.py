"""The Python client, over the real HTTP layer and a service in memory."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from dubl import errors
from dubl.client.client import AsyncClient, Client
from dubl.client.errors import ApiError, JobFailed, NotReachable, StillRunning
from dubl.client.exchange import Retries
from dubl.client.webhooks import read_webhook
from dubl.contract.bodies import ExcludedSegment, LicenseWindow, Rights
from dubl.types import JobState, Scope
from dubl.webhooks.signing import signed_headers, signing_key
from tests.support.fake_service import MATCH, FakeService
from tests.support.http_server import serving

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
QUICK = Retries(tries=3, pause_s=0.0)
LINK = "https://example.org/clips/a.mp4"
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()

Handler = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def service(tmp_path: Path) -> FakeService:
    return FakeService(tmp_path / "data", prompt=True)


@pytest.fixture
def address(service: FakeService) -> Iterator[str]:
    with serving(service.app()) as address:
        yield address


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "кот.mp4"
    path.write_bytes(bytes(range(256)) * 40)
    return path


def client_of(handler: Handler) -> Client:
    return Client("http://dubl", retries=QUICK, transport=httpx.MockTransport(handler))


def test_a_file_is_checked_in_one_call(address: str, service: FakeService, video: Path) -> None:
    with Client(address) as dubl:
        check = dubl.check(video, libraries=["main", "films"])
        assert check.outcome == "duplicate"
        assert check.matches[0].segments[0].reference_start_s == 4.0
        assert dubl.list_checks(outcome="duplicate").items == (check,)
    order = service.orders[0]
    assert order.libraries == ("main", "films")
    assert order.video.upload is not None
    assert order.video.upload.size_bytes == video.stat().st_size


def test_references_are_registered_found_changed_and_deleted(address: str, video: Path) -> None:
    with Client(address) as dubl:
        made = dubl.register(video, id="a/b", library="films", title="Кот", metadata={"year": 2020})
        assert (made.id, made.library, made.metadata) == ("a/b", "films", {"year": 2020})
        assert dubl.list_references(library="films").items == (made,)
        assert dubl.update_reference("a/b", owner="Mosfilm").owner == "Mosfilm"
        assert dubl.get_reference("a/b").title == "Кот"
        assert [one.name for one in dubl.list_libraries()] == ["films"]
        dubl.delete_reference("a/b")
        with pytest.raises(ApiError, match="not_found"):
            dubl.get_reference("a/b")


def test_operators_ask_about_batches_jobs_webhooks_and_keys(
    address: str, service: FakeService, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve_app.api.readiness.KNOWN_FOR_S", 0)
    with Client(address) as dubl:
        batch = dubl.submit_batch(links=[LINK, LINK], kind="reference", library="films")
        assert service.orders[0].libraries == ("films",)
        assert dubl.submit_batch(video, owner="Studio").status == "queued"
        with pytest.raises(StillRunning):
            dubl.wait_for_job(batch.job_id, timeout_s=0)
        assert dubl.cancel_job(batch.job_id).ended
        assert dubl.wait_for_job(batch.job_id).status == "cancelled"
        assert [job.id for job in dubl.list_jobs(status="cancelled").items] == [batch.job_id]
        assert dubl.list_jobs(dead=True).items == ()
        with pytest.raises(ApiError, match="state_conflict"):
            dubl.requeue_job(batch.job_id)
        assert dubl.list_deliveries().items == ()
        with pytest.raises(ApiError, match="not_found"):
            dubl.replay_delivery("none")
        made = dubl.create_key("uploads", scopes=["check"], libraries=["films"])
        assert dubl.list_keys() == (made.key,)
        assert dubl.revoke_key(made.key.id).revoked_at
        assert dubl.readiness().ready
        service.missing = ("reranker",)
        assert dubl.readiness().waiting_for == ("reranker",)


def test_a_file_is_saved_and_a_refusal_is_not(address: str, tmp_path: Path) -> None:
    with Client(address) as dubl:
        dubl.save("/openapi.json", tmp_path / "contract.json")
        assert json.loads((tmp_path / "contract.json").read_text())["openapi"]
        with pytest.raises(ApiError):
            dubl.save("/v1/checks/none", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_the_same_by_awaiting(address: str, video: Path) -> None:
    async def story() -> None:
        async with AsyncClient(address) as dubl:
            reference, check = await asyncio.gather(
                dubl.register(video, id="a"), dubl.check(link=LINK)
            )
            assert (reference.id, check.outcome) == ("a", "duplicate")
            assert (await dubl.list_jobs()).items[0].status in ("done", "queued")

    asyncio.run(story())


def test_a_video_that_cannot_be_checked_is_an_error_with_its_hint(
    address: str, service: FakeService
) -> None:
    service.ends = errors.NoVideoStream("only audio in a.mp3")
    with Client(address) as dubl, pytest.raises(JobFailed) as caught:
        dubl.check(link=LINK)
    assert (caught.value.code, caught.value.detail) == ("no_video_stream", "only audio in a.mp3")
    assert "video stream" in caught.value.hint


def test_a_check_that_takes_longer_can_be_asked_for_later(
    address: str, service: FakeService
) -> None:
    service.ends = JobState.QUEUED
    with Client(address) as dubl:
        with pytest.raises(StillRunning) as caught:
            dubl.check(link=LINK, timeout_s=0.0)
        service.ends = JobState.DONE
        service.go_on()
        assert dubl.wait_for_check(caught.value.id).outcome == "duplicate"


def test_a_refusal_carries_code_hint_and_request_id(address: str) -> None:
    with Client(address) as dubl, pytest.raises(ApiError) as caught:
        dubl.check(link="ftp://a/b")
    assert (caught.value.status, caught.value.code) == (400, "invalid_request")
    assert caught.value.request_id


def test_evidence_is_read_and_decided_on(
    address: str, service: FakeService, tmp_path: Path
) -> None:
    with Client(address) as dubl:
        check = dubl.check(link=LINK)
        service.videos.files[check.id] = tmp_path / "none"
        evidence = dubl.get_evidence(check.id, MATCH.reference_id)
        assert evidence.hints[0].kind == "inset"
        assert evidence.pairs[0].query_picture is not None
        assert dubl.download(evidence.pairs[0].query_picture).startswith(b"picture of")
        assert dubl.download(evidence.matrix_picture).startswith(b"\x89PNG")
        assert dubl.review_queue().items[0].reference_id == MATCH.reference_id
        entry = dubl.review(check.id, MATCH.reference_id, decision="licensed", note="by contract")
        assert dubl.list_reviews(check_id=check.id).items == (entry,)
        assert dubl.review_queue().items == ()


def test_a_key_is_sent(service: FakeService) -> None:
    keys = service
    with serving(service.app(keys_required=True)) as address:
        with Client(address) as dubl, pytest.raises(ApiError, match="unauthorized"):
            dubl.list_libraries()
        with Client(address, api_key=keys.issue(Scope.CHECK)) as dubl:
            assert dubl.list_libraries() == ()


def test_a_full_service_is_asked_again_with_the_whole_file(video: Path) -> None:
    sizes: list[int] = []

    def busy(request: httpx.Request) -> httpx.Response:
        sizes.append(len(request.read()))
        if len(sizes) < 3:
            return httpx.Response(503, headers={"Retry-After": "0"}, json={"code": "overloaded"})
        return httpx.Response(202, json={"id": "c", "job_id": "j", "status": "queued"})

    assert client_of(busy).submit_check(video).id == "c"
    assert len(sizes) == 3
    assert min(sizes) > video.stat().st_size


def test_a_repeated_submission_has_the_same_id() -> None:
    ids: list[str] = []

    def flaky(request: httpx.Request) -> httpx.Response:
        ids.append(json.loads(request.content)["id"])
        if len(ids) == 1:
            raise httpx.ReadError("the connection was reset", request=request)
        return httpx.Response(202, json={"id": ids[-1], "job_id": "j", "status": "queued"})

    assert client_of(flaky).submit_check(link=LINK).id == ids[0] == ids[1]


def test_a_decision_is_never_sent_twice_by_itself() -> None:
    seen: list[str] = []

    def reset(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.path)
        raise httpx.ReadError("the connection was reset", request=request)

    with pytest.raises(NotReachable):
        client_of(reset).review("c", "r", decision="confirmed")
    assert seen == ["/v1/reviews"]


def test_an_answer_of_somebody_else_is_no_answer() -> None:
    with pytest.raises(NotReachable):
        client_of(lambda _: httpx.Response(200, text="<html>")).list_libraries()
    with pytest.raises(ApiError, match="http_404"):
        client_of(lambda _: httpx.Response(404, text="<html>")).list_libraries()


def test_retry_after_is_honored() -> None:
    asked = httpx.Response(429, headers={"Retry-After": "7"})
    assert Retries(pause_s=0.1).pause_after(1, asked) == 7.0
    later = [Retries(pause_s=1.0).pause_after(n, httpx.Response(503)) for n in (1, 4, 20)]
    assert later == sorted(later)
    assert later[-1] <= 40


def test_a_webhook_is_read_only_when_it_is_signed() -> None:
    job = {
        "id": "j",
        "kind": "check",
        "name": "a.mp4",
        "status": "done",
        "subject_id": "c",
        "attempts": 1,
        "created_at": "2026-01-02T03:04:05Z",
        "finished_at": "2026-01-02T03:04:06Z",
        "error": None,
        "stage": "",
        "progress": 1.0,
        "result_id": "c",
        "batch_id": None,
        "dead": False,
        "children": None,
        "added_later": True,
    }
    event = {"type": "check.done", "timestamp": "2026-01-02T03:04:06Z", "data": {"job": job}}
    body = json.dumps(event).encode()
    headers = signed_headers(body, message_id="m", key=signing_key(SECRET))
    shown = {name.title(): value for name, value in headers.items()}
    read = read_webhook(body, shown, secret=SECRET)
    assert (read.type, read.job.subject_id, read.check) == ("check.done", "c", None)
    with pytest.raises(errors.InvalidRequest):
        read_webhook(body.replace(b"done", b"lost"), shown, secret=SECRET)


def run(example: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / example), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_examples_do_what_they_say(
    address: str, service: FakeService, video: Path, tmp_path: Path
) -> None:
    checked = run("check_upload.py", address, str(video))
    assert checked.returncode == 10, checked.stderr
    assert "0.0-8.0 s is ref-1 4.0-12.0 s" in checked.stdout
    registered = run("register_folder.py", address, str(video.parent))
    assert registered.stdout.strip() == "кот.mp4: 12.0 s", registered.stderr
    check_id = service.ledger.list_checks().items[0].id
    with Client(address) as dubl:
        service.videos.files[dubl.check(link=LINK).id] = tmp_path / "none"
    service.videos.files[check_id] = tmp_path / "none"
    reviewed = run("review_queue.py", address, check_id, MATCH.reference_id)
    assert f"{check_id} and ref-1: rejected" in reviewed.stdout, reviewed.stderr
    assert "upload.mp4 and ref-1: 97%, inset" in reviewed.stdout


RIGHTS = Rights(
    action="track",
    license_windows=(LicenseWindow(since="2026-01-01T00:00:00.000Z", territories=("RU",)),),
    excluded_segments=(ExcludedSegment(start_s=0.0, end_s=9.0, label="intro"),),
)


def test_rights_go_there_and_back(address: str, service: FakeService, video: Path) -> None:
    with Client(address) as dubl:
        reference = dubl.register(video, id="film", rights=RIGHTS)
        assert reference.rights == RIGHTS
        assert dubl.update_reference("film", rights=Rights()).rights == Rights()
        dubl.check(video, territory="ru", channel="kids", time="2026-05-01")
    context = service.orders[1].context
    assert (context.territory, context.channel) == ("RU", "kids")


def test_pictures_and_near_misses_are_looked_for(
    address: str, service: FakeService, video: Path
) -> None:
    with Client(address) as dubl:
        (found,) = dubl.search_frame(video, time_s=3.0, library="main")
        (span,) = found.spans
        assert (found.reference_id, span.start_s, span.end_s) == ("ref-1", 4.0, 5.5)
        check = dubl.check(video)
        assert len(dubl.nearest(check.id)) == 2
    assert service.videos.searches == [(3.0, ["main"], 10)]


def test_quarantines_and_thresholds(address: str, service: FakeService) -> None:
    service.quarantine("ref-1")
    service.judge("main")
    with Client(address) as dubl:
        (held,) = dubl.list_quarantines(status="held")
        assert held.uploads == 140
        assert dubl.decide_quarantine("ref-1", decision="release").status == "released"
        assert dubl.calibrate_library("main").copies == 9
        assert dubl.get_library_policy("main").decisions == 40


def test_spaces_are_listed_switched_and_rolled_back(address: str) -> None:
    with Client(address, retries=QUICK) as client:
        old, new = client.list_spaces().items
        page = client.missing_references(new.space_id, limit=1)
        assert [one.path for one in page.items] == ["/films/1.mp4"]
        with pytest.raises(ApiError, match="lacks"):
            client.switch_space(new.space_id)
        assert client.switch_space(new.space_id, force=True).previous_id == old.space_id
        assert client.roll_back_space(note="why").space_id == old.space_id
        assert [one.note for one in client.list_spaces().switches] == ["why", ""]
