"""Jobs of a real service: events, cancelling, batches, signed webhooks, overload."""

from __future__ import annotations

import http.server
import io
import json
import queue
import socket
import threading
import zipfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from dubl.webhooks.signing import signing_key, verify
from serve_app.api.admission import default_waiting
from tests.integration.conftest import WEBHOOK_SECRET, Clips
from tests.support.service import WAIT, Client

Delivered = tuple[dict[str, str], bytes]


class Receiver(http.server.BaseHTTPRequestHandler):
    """Keeps what is posted; the first time, it says that it cannot take it."""

    got: queue.Queue[Delivered]
    refuses = 0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.put(({name.lower(): value for name, value in self.headers.items()}, body))
        refused = Receiver.refuses > 0
        Receiver.refuses -= refused
        self.send_response(503 if refused else 204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def hook() -> Iterator[str]:
    Receiver.got = queue.Queue()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hook"
        server.shutdown()


def ended(client: Client, job_id: str) -> dict[str, object]:
    """The job's last event."""
    name, body = "", {}
    with client.http.stream("GET", f"/v1/jobs/{job_id}/events") as answer:
        for line in answer.iter_lines():
            key, _, value = line.partition(": ")
            if key == "event":
                name = value
            elif key == "data":
                body = json.loads(value)
    assert name == "end", (name, body)
    return body


def test_events_follow_a_job_to_its_end(client: Client, clips: Clips) -> None:
    with clips.queries("recode")[0].open("rb") as file:
        accepted = client.http.post("/v1/checks", files={"file": ("a.mp4", file)}).json()
    body = ended(client, accepted["job_id"])
    assert (body["status"], body["progress"]) == ("done", 1.0)
    assert client.http.get(f"/v1/checks/{accepted['id']}").json()["status"] == "done"


def test_a_zip_becomes_children_and_one_bad_file_spoils_only_itself(
    client: Client, clips: Clips
) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in clips.queries("trim")[:2]:
            archive.write(path, f"folder/{path.name}")
        archive.writestr("bad.mp4", b"no video at all" * 100)
    answer = client.http.post("/v1/batches", files={"file": ("a.zip", buffer.getvalue())})
    assert answer.status_code == 202, answer.text
    body = ended(client, answer.json()["job_id"])
    assert body["children"] == {"queued": 0, "running": 0, "done": 2, "failed": 1, "cancelled": 0}
    listed = client.http.get("/v1/jobs", params={"batch": answer.json()["job_id"]}).json()["items"]
    errors = {item["name"]: item["error"]["code"] for item in listed if item["error"]}
    assert errors == {"bad.mp4": "not_a_video"}
    for item in listed:
        if item["status"] == "done":
            check = client.http.get(f"/v1/checks/{item['result_id']}").json()
            assert check["query_name"].startswith("folder/")


def test_an_archive_that_would_do_harm_fails_with_a_reason(client: Client) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../../evil.mp4", b"x")
    answer = client.http.post("/v1/batches", files={"file": ("a.zip", buffer.getvalue())})
    body = ended(client, answer.json()["job_id"])
    assert body["status"] == "failed"
    assert body["error"]["code"] == "unsafe_archive"


def test_a_batch_can_be_called_off(client: Client, clips: Clips) -> None:
    links = [f"http://127.0.0.1:9/{number}.mp4" for number in range(20)]
    answer = client.http.post("/v1/batches", json={"links": links})
    cancelled = client.http.delete(f"/v1/jobs/{answer.json()['job_id']}")
    assert cancelled.json()["status"] == "cancelled"
    assert client.check(clips.references[0]).status_code == 200


def test_a_signed_webhook_tells_the_verdict_again_until_it_is_taken(
    client: Client, clips: Clips, hook: str
) -> None:
    Receiver.refuses = 1
    fields = {"callback_url": hook}
    with clips.references[0].open("rb") as file:
        accepted = client.http.post(
            "/v1/checks", files={"file": ("a.mp4", file)}, data=fields
        ).json()
    first_headers, first_body = Receiver.got.get(timeout=120)
    headers, body = Receiver.got.get(timeout=120)
    verify(body, headers, key=signing_key(WEBHOOK_SECRET))
    assert (headers["webhook-id"], body) == (first_headers["webhook-id"], first_body)
    event = json.loads(body)
    assert event["type"] == "check.done"
    assert event["data"]["job"]["id"] == accepted["job_id"]
    assert event["data"]["check"] == client.http.get(f"/v1/checks/{accepted['id']}").json()

    # Taken; told once more when asked to.
    replayed = client.http.post(f"/v1/deliveries/{headers['webhook-id']}/replay")
    assert replayed.status_code == 202
    again, again_body = Receiver.got.get(timeout=120)
    assert (again["webhook-id"], again_body) == (headers["webhook-id"], body)


def test_a_webhook_to_a_scheme_that_is_no_http_is_refused(client: Client) -> None:
    body = {"link": "https://example.org/a.mp4", "callback_url": "file:///etc/passwd"}
    assert client.http.post("/v1/checks", json=body).status_code == 400


def test_overload_is_refused_as_a_problem_and_passes_by_itself(
    client: Client, address: str, clips: Clips
) -> None:
    """Twenty times as many callers as may wait. How fast they are refused, and what the others pay:
    benchmarks/overload.py."""
    callers = 20 * default_waiting()
    body = {"path": str(clips.references[0])}

    def ask(_: int) -> httpx.Response:
        return httpx.post(f"{address}/v1/checks", json=body, headers=WAIT, timeout=300)

    with ThreadPoolExecutor(callers) as pool:
        answers = list(pool.map(ask, range(2 * callers)))
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) == {200, 503}, statuses
    for answer in answers:
        if answer.status_code == 503:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["code"] == "overloaded"
            assert int(answer.headers["Retry-After"]) > 0
    assert client.check(clips.references[0]).status_code == 200


class Slow(http.server.BaseHTTPRequestHandler):
    """A link that says nothing until it is let go."""

    asked: threading.Event
    let_go: threading.Event

    def do_GET(self) -> None:
        self.asked.set()
        self.let_go.wait()
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def slow_link() -> Iterator[str]:
    Slow.asked, Slow.let_go = threading.Event(), threading.Event()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/a.mp4"
        Slow.let_go.set()
        server.shutdown()


@pytest.mark.parametrize(
    ("fields", "status"), [({}, "cancelled"), ({"id": "mine"}, "running")], ids=["nobody", "id"]
)
def test_a_check_is_cancelled_when_its_caller_hangs_up_and_nobody_else_knows_of_it(
    client: Client, address: str, slow_link: str, fields: dict[str, str], status: str
) -> None:
    host, _, port = address.removeprefix("http://").partition(":")
    body = json.dumps({"link": slow_link, **fields}).encode()
    head = (
        f"POST /v1/checks HTTP/1.1\r\nHost: {host}\r\nPrefer: wait=100\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((host, int(port))) as caller:
        caller.sendall(head.encode() + body)
        assert Slow.asked.wait(120)
        (job,) = client.http.get("/v1/jobs", params={"status": "running"}).json()["items"]
    if status == "cancelled":
        assert ended(client, job["id"])["status"] == "cancelled"
        return
    assert client.http.get(f"/v1/jobs/{job['id']}").json()["status"] == "running"
    Slow.let_go.set()
    assert ended(client, job["id"])["status"] == "failed"
