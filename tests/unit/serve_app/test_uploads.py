"""Claims about bodies that end before they should."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from starlette.requests import Request

from dubl.errors import InvalidRequest
from dubl.media.spool import Spool
from serve_app.api.submissions import read_submission

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
