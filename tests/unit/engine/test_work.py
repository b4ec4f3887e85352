"""Claims about the work of a job: what is slow for one is not slow for others."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest
from starlette.requests import Request

from dubl.contract.forms import read_form
from dubl.contract.orders import VideoInput
from dubl.contract.requests import ReferenceForm
from dubl.engine import work
from dubl.engine.flow import Flow, Lane, Steps
from dubl.engine.handles import Handle
from dubl.engine.ledger import LedgerClient
from dubl.engine.shell import NO_SHELL
from dubl.engine.work import Work, require_as_asked
from dubl.errors import AlreadyRegistered
from dubl.media.spool import Spool
from dubl.settings import load_settings
from dubl.types import Reference
from serve_app.api.submissions import read_submission

BODY = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nbytes\r\n--x--\r\n'
LINKS = 6


def test_links_that_never_answer_stop_neither_one_another_nor_an_upload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, answered = threading.Semaphore(0), threading.Event()

    def never(link: str, **_: object) -> None:
        begun.release()
        answered.wait(60)
        raise TimeoutError(link)

    monkeypatch.setattr(work, "fetch_link", never)
    handle = cast(Handle, object())
    settings = load_settings(overrides=[f"data_dir={tmp_path}"], environment={})
    lanes = cast(tuple[Lane, ...], (1,))
    steps = Steps(decoder=handle, lanes=lanes, librarian=handle, ledger=handle)
    made = Work(
        steps=steps,
        flow=cast(Flow, object()),
        ledger=LedgerClient(handle),
        settings=settings,
        shell=NO_SHELL,
    )

    async def story() -> None:
        # As in a replica with a share of a CPU.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        links = [VideoInput(link=f"https://slow.example/{number}") for number in range(LINKS)]
        waiting = [asyncio.create_task(made._obtain(one, lambda _: None)) for one in links]
        try:
            for _ in links:
                while not begun.acquire(blocking=False):
                    await asyncio.sleep(0.01)
            submission = await read_submission(request(), spool=Spool(tmp_path, max_size_bytes=99))
            assert submission.upload is not None
        finally:
            answered.set()
            await asyncio.gather(*waiting, return_exceptions=True)

    asyncio.run(asyncio.wait_for(story(), 20))


KNOWN = Reference(
    id="first",
    library="main",
    title="Film",
    owner="studio",
    metadata={"year": 1999},
    source="film.mp4",
    sha256="ab" * 32,
    duration_s=12.0,
    frame_count=12,
    created_at="2026-01-02T03:04:05.000Z",
)


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ({}, ""),
        ({"id": "first", "owner": "studio", "metadata": {"year": 1999}}, ""),
        ({"title": "Another title"}, ""),
        ({"id": "mine"}, "id"),
        ({"owner": "other"}, "owner"),
        ({"metadata": {"year": 2000}}, "metadata"),
        ({"rights": {"action": "track"}, "id": "mine"}, "id, rights"),
    ],
)
def test_known_bytes_are_no_silent_end_of_what_was_asked(
    fields: dict[str, object], refused: str
) -> None:
    order = read_form(ReferenceForm, {"link": "https://example.org/a.mp4", **fields}).order(None)
    if not refused:
        require_as_asked(order, KNOWN)
        return
    with pytest.raises(
        AlreadyRegistered, match=f"'first' already, with another {refused}$"
    ) as told:
        require_as_asked(order, KNOWN)
    assert told.value.context == {"existing_id": "first"}


def request() -> Request:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": BODY, "more_body": False}

    headers = [(b"content-type", b"multipart/form-data; boundary=x")]
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)
