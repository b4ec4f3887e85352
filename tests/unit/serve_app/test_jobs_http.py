"""Jobs over HTTP: progress, events, cancelling, batches, webhooks; over a service in memory."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from dubl.engine.runner import Ended
from dubl.types import Job, JobKind, JobState, Progress
from tests.support.fake_service import FakeService

LINK = "https://example.org/clips/a.mp4"
HOOK = "https://example.org/hook"


@pytest.fixture
def service(tmp_path: Path) -> FakeService:
    return FakeService(tmp_path, "serve.max_batch_items=3", "serve.max_requests=2")


@pytest.fixture
def app(service: FakeService) -> FastAPI:
    return service.app()


@pytest.fixture
def client(app: FastAPI) -> TestClient:
    return TestClient(app, raise_server_exceptions=False)


def a_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.mp4", b"x")
    return buffer.getvalue()


def test_a_running_job_tells_its_stage_and_share(client: TestClient, service: FakeService) -> None:
    service.put("j", progress=Progress(stage="embed", share=0.45))
    body = client.get("/v1/jobs/j").json()
    assert (body["status"], body["stage"], body["progress"]) == ("running", "embed", 0.45)
    assert body["children"] is None


def test_a_batch_tells_how_many_of_its_children_have_ended(
    client: TestClient, service: FakeService
) -> None:
    service.put("batch", kind=JobKind.BATCH)
    for number, state in enumerate((JobState.DONE, JobState.FAILED, JobState.QUEUED)):
        service.put(f"child{number}", parent_id="batch", state=state)
    body = client.get("/v1/jobs/batch").json()
    assert body["children"] == {"queued": 1, "running": 0, "done": 1, "failed": 1, "cancelled": 0}
    assert body["progress"] == 0.6666
    listed = client.get("/v1/jobs", params={"batch": "batch", "status": "failed"}).json()
    assert [item["id"] for item in listed["items"]] == ["child1"]


def test_events_tell_each_change_once_and_the_end(
    client: TestClient, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses_s: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses_s.append(seconds)

    monkeypatch.setattr("serve_app.api.events.asyncio", SimpleNamespace(sleep=sleep))
    job = service.put("j")
    stages = iter(("decode", "decode", "rerank", ""))
    ask = service.engine.ledger.ask

    async def told(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if stage := next(stages):
            service.ledger.jobs.report({job.lease: Progress(stage=stage, share=0.1)})
        else:
            service.ledger.jobs.finish(job.lease, result_id="s", created=True)
        return await ask(method, *args, **kwargs)

    monkeypatch.setattr(service.engine.ledger, "ask", told)
    answer = client.get("/v1/jobs/j/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [block.split("\ndata: ") for block in answer.text.strip().split("\n\n")]
    assert [name for name, _ in events] == ["event: progress", "event: progress", "event: end"]
    shown = [json.loads(data) for _, data in events]
    assert [body["stage"] for body in shown[:2]] == ["decode", "rerank"]
    assert shown[-1]["status"] == "done"
    assert pauses_s == [0.25, 0.5, 0.25], "the ledger is asked less often while nothing happens"


def test_there_are_no_events_of_an_unknown_job(client: TestClient) -> None:
    assert client.get("/v1/jobs/absent/events").status_code == 404


def test_a_job_is_cancelled_once(client: TestClient, service: FakeService) -> None:
    service.put("j")
    assert client.delete("/v1/jobs/j").json()["status"] == "cancelled"
    again = client.delete("/v1/jobs/j")
    assert (again.status_code, again.json()["code"]) == (409, "state_conflict")
    assert client.delete("/v1/jobs/absent").status_code == 404


def test_a_dead_job_is_listed_and_queued_again(client: TestClient, service: FakeService) -> None:
    service.put("alive")
    service.put("dead", dead=True, error_code="overloaded")
    listed = client.get("/v1/jobs", params={"dead": True}).json()["items"]
    assert [(item["id"], item["error"]["code"]) for item in listed] == [("dead", "overloaded")]
    assert client.post("/v1/jobs/dead/requeue").json()["status"] == "queued"
    assert client.post("/v1/jobs/alive/requeue").status_code == 409


def test_a_batch_of_links_is_one_job(client: TestClient, service: FakeService) -> None:
    body = {"links": [LINK, f"{LINK}?2"], "library": "films", "callback_url": HOOK}
    answer = client.post("/v1/batches", json=body)
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/v1/jobs/{answer.json()['job_id']}"
    assert answer.json()["id"] == answer.json()["job_id"]
    (order,) = service.orders
    assert (order.kind, order.links, order.libraries) == (
        JobKind.CHECK,
        (LINK, f"{LINK}?2"),
        ("films",),
    )
    assert service.jobs.terms[0].callback_url == HOOK


def test_a_batch_by_zip_is_spooled(client: TestClient, service: FakeService) -> None:
    fields = {"kind": "reference", "owner": "Mosfilm"}
    sent = a_zip()
    answer = client.post("/v1/batches", files={"file": ("a.zip", sent)}, data=fields)
    assert answer.status_code == 202
    (order,) = service.orders
    assert order.archive is not None
    assert Path(order.archive.path).read_bytes() == sent
    assert (order.kind, order.libraries, order.owner) == (JobKind.REFERENCE, ("main",), "Mosfilm")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"links": []},
        {"links": [LINK] * 4},
        {"links": LINK},
        {"links": ["file:///etc/passwd"]},
        {"links": [7]},
        {"links": [LINK], "kind": "batch"},
        {"links": [LINK], "callback_url": "gopher://x"},
        {"links": [LINK], "unknown": 1},
    ],
    ids=str,
)
def test_a_wrong_batch_is_refused(client: TestClient, body: dict[str, object]) -> None:
    answer = client.post("/v1/batches", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


def test_signatures_of_links_are_not_shown(client: TestClient, service: FakeService) -> None:
    signed = "https://example.org/a.mp4?token=hush"
    accepted = client.post("/v1/checks", json={"link": signed}).json()
    service.put("j", callbacks=(signed,))
    service.ledger.jobs.cancel("j")
    (order,) = [one for one in service.orders if one.subject_id == accepted["id"]]
    assert order.video.link == signed, "it is kept as it is"
    for path in (f"/v1/jobs/{accepted['job_id']}", "/v1/jobs", "/v1/deliveries"):
        answer = client.get(path)
        assert "example.org/a.mp4" in answer.text
        assert "hush" not in answer.text, path


def test_deliveries_are_listed_and_replayed(client: TestClient, service: FakeService) -> None:
    job = service.put("j", callbacks=(HOOK,))
    service.ledger.jobs.finish(job.lease, result_id="s", created=True)
    for _ in range(9):
        (due,) = service.ledger.outbox.claim(limit=1, lease_s=0)
        service.ledger.outbox.failed(
            due, status=500, error="it answered 500", retry_in_s=0 if due.attempts < 9 else None
        )
    (listed,) = client.get("/v1/deliveries", params={"status": "failed"}).json()["items"]
    assert (listed["url"], listed["http_status"], listed["attempts"]) == (HOOK, 500, 9)
    assert client.get("/v1/deliveries", params={"job_id": "other"}).json()["items"] == []
    assert client.post(f"/v1/deliveries/{listed['id']}/replay").status_code == 202
    assert client.post("/v1/deliveries/absent/replay").status_code == 404


def in_the_background(app: FastAPI, story: Callable[[httpx.AsyncClient], Awaitable[None]]) -> None:
    async def told() -> None:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            await story(client)

    asyncio.run(told())


@pytest.mark.parametrize(
    ("fields", "abandoned"),
    [({}, 1), ({"id": "mine"}, 0), ({"callback_url": HOOK}, 0)],
    ids=["nobody knows of it", "the caller knows its id", "somebody will be told"],
)
def test_a_check_whose_only_asker_hangs_up_is_cancelled(
    app: FastAPI,
    service: FakeService,
    monkeypatch: pytest.MonkeyPatch,
    fields: dict[str, str],
    abandoned: int,
) -> None:
    async def story(client: httpx.AsyncClient) -> None:
        waits = asyncio.Event()

        async def wait(job: Job, *, seconds: float) -> Ended:
            waits.set()
            await asyncio.Event().wait()
            raise AssertionError(job, seconds)

        monkeypatch.setattr(service.jobs, "wait", wait)
        body = {"link": LINK, **fields}
        asked = asyncio.create_task(
            client.post("/v1/checks", json=body, headers={"Prefer": "wait=30"})
        )
        await waits.wait()
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked

    in_the_background(app, story)
    assert len(service.jobs.abandoned) == abandoned


def test_more_requests_than_there_is_room_for_are_refused_at_once(
    app: FastAPI, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(client: httpx.AsyncClient) -> None:
        waiting, free = asyncio.Semaphore(0), asyncio.Event()

        ask = service.engine.ledger.ask

        async def slow(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            waiting.release()
            await free.wait()
            return await ask(method, *args, **kwargs)

        for name in "abc":
            service.put(name)
        monkeypatch.setattr(service.engine.ledger, "ask", slow)
        under_way = [asyncio.create_task(client.get(f"/v1/jobs/{name}")) for name in "ab"]
        for _ in under_way:
            await waiting.acquire()
        refused = await client.get("/v1/jobs/c")
        assert refused.status_code == 503
        assert refused.headers["content-type"] == "application/problem+json"
        assert (refused.json()["code"], refused.headers["Retry-After"]) == ("overloaded", "5")
        assert (await client.get("/healthz")).status_code == 200
        free.set()
        assert [(await task).status_code for task in under_way] == [200, 200]
        assert (await client.get("/v1/jobs/c")).status_code == 200

    in_the_background(app, story)


def test_a_job_is_called_what_the_caller_called_its_video(
    client: TestClient, service: FakeService
) -> None:
    requests: dict[str, dict[str, object]] = {
        "folder/a.mp4": {"video": {"upload": {"name": "folder/a.mp4"}, "link": ""}},
        LINK: {"video": {"upload": None, "link": LINK}},
        "bad.mp4": {"video": {"upload": None, "link": "", "path": "", "lost": "bad.mp4"}},
        "films.zip": {"archive": {"name": "films.zip"}, "links": []},
        "upload.mp4": {"video": {"upload": None, "link": ""}, "earlier": {"name": "upload.mp4"}},
        "": {"reference_id": "film", "libraries": ["main"]},
    }
    for number, request in enumerate(requests.values()):
        service.put(f"job-{number}", request=request)
    shown = [client.get(f"/v1/jobs/job-{number}").json()["name"] for number in range(6)]
    assert shown == [*requests]


def test_deleting_a_reference_ends_its_registration(
    client: TestClient, service: FakeService
) -> None:
    link = {"link": LINK, "id": "film"}
    job = client.post("/v1/references", json=link).json()["job_id"]
    assert client.delete("/v1/references/film").status_code == 204
    assert client.get(f"/v1/jobs/{job}").json()["status"] == "cancelled"
    assert client.delete("/v1/references/film").status_code == 404
    assert "film" not in service.library.references
