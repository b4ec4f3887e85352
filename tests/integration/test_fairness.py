"""What one customer does to a real service does not stop another: slow links, bodies and receivers,
floods. Nothing is timed: the other's answer is there while the first still holds what it holds."""

from __future__ import annotations

import http.server
import itertools
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from pipelines.local_server import running_server
from tests.integration.conftest import Clips
from tests.support.service import WAIT

pytestmark = pytest.mark.slow

ROOT = "dubl_root_" + "k" * 40
PLACES = 16  # requests under way, and unfinished jobs
SHARE = 12  # that one key alone may hold
NO_VIDEO = {"file": ("a.mp4", b"no video at all" * 100)}


class Silent(http.server.BaseHTTPRequestHandler):
    """Takes what is sent, and says nothing until it is let go. `good` is answered at once."""

    asked: threading.Semaphore
    let_go: threading.Event
    good: threading.Event

    def do_GET(self) -> None:
        self.asked.release()
        self.let_go.wait()
        self.send_error(404)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/good":
            self.good.set()
        else:
            self.asked.release()
            self.let_go.wait()
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that is slow until the end of the test."""
    Silent.asked, Silent.let_go, Silent.good = (
        threading.Semaphore(0),
        threading.Event(),
        threading.Event(),
    )
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Silent) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        Silent.let_go.set()
        server.shutdown()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    overrides = [
        "access.keys=required",
        "media.allow_private_addresses=true",
        f"serve.max_requests={PLACES}",
        f"serve.max_queued_jobs={PLACES}",
        "serve.max_waiting=4",
        # Nothing slow ends by itself while a test waits.
        "media.link_timeout_s=900",
        "webhooks.timeout_s=900",
    ]
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DUBL__ACCESS__ROOT_KEY", ROOT)
        data = tmp_path_factory.mktemp("fair") / "data"
        with running_server(data, overrides=overrides) as running:
            yield running


@contextmanager
def customer(address: str, library: str) -> Iterator[httpx.Client]:
    """A client with a key of its own for one library."""
    wanted = {"name": library, "scopes": ["check", "register"], "libraries": [library]}
    root = {"Authorization": f"Bearer {ROOT}"}
    token = httpx.post(f"{address}/v1/keys", json=wanted, headers=root).json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=address, headers=headers, timeout=180) as client:
        yield client


@pytest.fixture(scope="module")
def flooder(address: str) -> Iterator[httpx.Client]:
    with customer(address, "a") as client:
        yield client


@pytest.fixture(scope="module")
def other(address: str) -> Iterator[httpx.Client]:
    with customer(address, "b") as client:
        yield client


def checked(client: httpx.Client, video: Path) -> dict[str, object]:
    with video.open("rb") as file:
        answer = client.post("/v1/checks", files={"file": (video.name, file)}, headers=WAIT)
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


def test_slow_links_of_one_key_fill_neither_the_queue_nor_the_workers(
    flooder: httpx.Client, other: httpx.Client, silent: int, clips: Clips
) -> None:
    def sent(number: int) -> httpx.Response:
        link = f"http://127.0.0.1:{silent}/{number}.mp4"
        return flooder.post("/v1/checks", json={"link": link})

    accepted = []
    for number in itertools.count():
        answer = sent(number)
        if answer.status_code != 202:
            break
        accepted.append(answer.json()["job_id"])
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert answer.json()["hint"]
    assert int(answer.headers["Retry-After"]) > 0
    assert len(accepted) == SHARE
    assert Silent.asked.acquire(timeout=120)
    checked(other, clips.references[0])
    states = {flooder.get(f"/v1/jobs/{job_id}").json()["status"] for job_id in accepted}
    assert states == {"queued", "running"}, "they hold all that their key may hold"


def test_slow_bodies_of_one_key_stop_no_other(
    address: str, flooder: httpx.Client, other: httpx.Client, clips: Clips
) -> None:
    host, _, port = address.removeprefix("http://").partition(":")
    key = flooder.headers["Authorization"]
    # So long that the least speed of a body lets it rest for a minute and more.
    body = b"{" + b" " * 900_000 + json.dumps({"link": "http://127.0.0.1:9/a.mp4"}).encode()[1:]
    head = (
        f"POST /v1/checks HTTP/1.1\r\nHost: {host}\r\nPrefer: wait=100\r\nAuthorization: {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with ExitStack() as opened:
        slow = [opened.enter_context(socket.create_connection((host, int(port)))) for _ in range(6)]
        for one in slow:
            one.sendall(head.encode() + body[:-1])
        checked(other, clips.references[0])
        slow[0].setblocking(False)
        with pytest.raises(BlockingIOError):
            slow[0].recv(1)  # it is still being waited for
        slow[0].setblocking(True)
        slow[0].sendall(body[-1:])
        assert slow[0].recv(12).startswith(b"HTTP/1.1 ")


def test_slow_receivers_of_one_key_delay_no_webhook_of_another(
    flooder: httpx.Client, other: httpx.Client, silent: int
) -> None:
    slow, good = f"http://localhost:{silent}/slow", f"http://127.0.0.1:{silent}/good"
    for _ in range(SHARE):
        sent = flooder.post("/v1/checks", files=NO_VIDEO, data={"callback_url": slow})
        assert sent.status_code in (202, 429), sent.text
    assert Silent.asked.acquire(timeout=120)
    sent = other.post("/v1/checks", files=NO_VIDEO, data={"callback_url": good})
    assert sent.status_code == 202
    assert Silent.good.wait(120)
    assert not Silent.let_go.is_set()


def test_event_streams_of_one_key_leave_places_to_others(
    flooder: httpx.Client, other: httpx.Client, silent: int
) -> None:
    def events(client: httpx.Client, opened: ExitStack) -> int:
        link = f"http://127.0.0.1:{silent}/events.mp4"
        job_id = client.post("/v1/checks", json={"link": link}).json()["job_id"]
        statuses = []
        while not statuses or (statuses[-1] == 200 and client is flooder):
            stream = opened.enter_context(client.stream("GET", f"/v1/jobs/{job_id}/events"))
            statuses.append(stream.status_code)
        return statuses.count(200)

    with ExitStack() as opened:
        assert events(flooder, opened) == SHARE
        assert flooder.get("/v1/checks").status_code == 429
        assert events(other, opened) == 1
        assert other.get("/v1/checks").status_code == 200


def test_a_customer_sees_nothing_of_another(
    flooder: httpx.Client, other: httpx.Client, clips: Clips
) -> None:
    video = clips.references[1]
    with video.open("rb") as file:
        sent = {"file": (video.name, file)}
        fields = {"id": "mine", "library": "a", "title": "secret of a"}
        made = flooder.post("/v1/references", files=sent, data=fields, headers=WAIT)
    assert made.status_code == 201, made.text
    mine = checked(flooder, video)
    assert mine["outcome"] == "duplicate"
    theirs = checked(other, video)
    assert (theirs["outcome"], theirs["matches"]) == ("unique", [])
    jobs = flooder.get("/v1/jobs").json()["items"]
    for path in (
        "/v1/references/mine",
        f"/v1/checks/{mine['id']}",
        f"/v1/checks/{mine['id']}/nearest",
        f"/v1/jobs/{jobs[0]['id']}",
        f"/v1/jobs/{jobs[0]['id']}/events",
    ):
        assert other.get(path).status_code == 404, path
    for path in ("/v1/references", "/v1/checks", "/v1/jobs", "/v1/libraries"):
        text = other.get(path).text
        assert "secret of a" not in text
        assert not [job["id"] for job in jobs if job["id"] in text], path
        assert str(mine["id"]) not in text
    assert other.get("/v1/deliveries").status_code == 403
