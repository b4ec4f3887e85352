"""Claims about attempts to deliver a webhook."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import pytest

from dubl.webhooks.sending import next_delay_s, post

DAY_S = 86400.0
BODY = '{"type": "проверка"}'.encode()


class Receiver(http.server.BaseHTTPRequestHandler):
    """Answers with the status that the path names, and keeps what came."""

    got: list[tuple[str, dict[str, str], bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.got.append((self.path, headers, body))
        self.send_response(int(self.path.strip("/")))
        self.send_header("Location", "/200")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def receiver() -> Iterator[str]:
    Receiver.got = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_body_and_its_headers_arrive(receiver: str) -> None:
    headers = {"webhook-id": "msg_1"}
    answer = post(f"{receiver}/204", BODY, headers, timeout_s=30, allow_private=True)
    assert (answer.status, answer.error) == (204, "")
    ((_, got_headers, got_body),) = Receiver.got
    assert got_body == BODY
    assert (got_headers["webhook-id"], got_headers["content-type"]) == (
        "msg_1",
        "application/json",
    )


@pytest.mark.parametrize("status", [302, 404, 500])
def test_anything_but_2xx_is_a_failure_and_redirects_are_not_followed(
    receiver: str, status: int
) -> None:
    answer = post(f"{receiver}/{status}", BODY, {}, timeout_s=30, allow_private=True)
    assert answer.status == status
    assert str(status) in answer.error
    assert len(Receiver.got) == 1


def test_a_private_address_is_never_called(receiver: str) -> None:
    answer = post(f"{receiver}/200", BODY, {}, timeout_s=30, allow_private=False)
    assert answer.status == 0
    assert "not public" in answer.error
    assert Receiver.got == []


@pytest.mark.parametrize("url", ["ftp://example.org/a", "http://127.0.0.1:1/closed", "http://"])
def test_an_address_that_cannot_be_called_is_a_failure_with_a_reason(url: str) -> None:
    answer = post(url, BODY, {}, timeout_s=5, allow_private=True)
    assert answer.status == 0
    assert answer.error


def test_attempts_come_later_and_later_and_end_within_a_day() -> None:
    delays: list[float] = []
    while (delay := next_delay_s(len(delays) + 1, give_up_s=DAY_S)) is not None:
        delays.append(delay)
    assert delays == sorted(delays)
    assert delays[0] <= 10
    assert DAY_S / 2 < sum(delays) <= DAY_S
    assert len(delays) >= 8
