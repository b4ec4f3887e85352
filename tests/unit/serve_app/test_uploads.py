"""Claims about bodies that end before they should, or hardly ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from starlette.requests import Request

from dubl.errors import InvalidRequest
from dubl.media.spool import Spool
from dubl.types import JobState, Scope
from serve_app.api import submissions
from serve_app.api.submissions import read_submission
from tests.support.fake_service import FakeService

HEAD = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'


@pytest.mark.parametrize("content_type", ["multipart/form-data; boundary=x", "application/json"])
def test_a_caller_who_hangs_up_half_way_leaves_nothing_behind(
    tmp_path: Path, content_type: str
) -> None:
    messages: list[dict[str, object]] = [
        {"type": "http.request", "body": HEAD + bytes(100), "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> dict[str, object]:
        return messages.pop(0)

    headers = [(b"content-type", content_type.encode())]
    request = Request({"type": "http", "method": "POST", "headers": headers}, receive)
    with pytest.raises(InvalidRequest, match="ended before"):
        asyncio.run(read_submission(request, spool=Spool(tmp_path, max_size_bytes=1000)))
    assert list(tmp_path.iterdir()) == []


def test_a_body_that_hardly_moves_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submissions, "BODY_GRACE_S", 0.05)

    async def receive() -> dict[str, object]:
        await asyncio.sleep(0.03)
        return {"type": "http.request", "body": b" ", "more_body": True}

    request = Request({"type": "http", "method": "POST", "headers": []}, receive)
    with pytest.raises(InvalidRequest, match="bytes a second"):
        asyncio.run(read_submission(request, spool=Spool(tmp_path, max_size_bytes=1000)))


def test_slow_bodies_take_no_place_of_a_waiting_check(tmp_path: Path) -> None:
    app = FakeService(tmp_path, "serve.max_waiting=1").app()
    waits = {"Prefer": "wait=30"}

    async def story() -> list[int]:
        arrived = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield b"{"
            await arrived.wait()
            yield b'"link": "https://example.org/a.mp4"}'

        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            first = asyncio.create_task(client.post("/v1/checks", content=slow(), headers=waits))
            await asyncio.sleep(0.05)
            other = {"link": "https://example.org/b.mp4"}
            second = await client.post("/v1/checks", json=other, headers=waits)
            arrived.set()
            return [(await first).status_code, second.status_code]

    assert asyncio.run(story()) == [200, 200]


def test_the_file_of_a_job_beyond_a_keys_share_is_removed(tmp_path: Path) -> None:
    service = FakeService(tmp_path, "serve.max_queued_jobs=2")
    service.ends = JobState.QUEUED
    headers = {"Authorization": f"Bearer {service.issue(Scope.CHECK)}"}
    client = TestClient(service.app(keys_required=True))

    def send() -> tuple[int, int]:
        answer = client.post("/v1/checks", files={"file": ("a.mp4", b"x")}, headers=headers)
        return answer.status_code, len(list(service.settings.spool_dir.iterdir()))

    assert [send(), send()] == [(202, 1), (429, 1)]
