"""Claims about the work of a job: what is slow for one is not slow for others."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest
from starlette.requests import Request

from dubl.contract.orders import VideoInput
from dubl.engine import work
from dubl.engine.flow import Flow, Lane, Steps
from dubl.engine.handles import Handle
from dubl.engine.ledger import LedgerClient
from dubl.engine.shell import NO_SHELL
from dubl.engine.work import Work
from dubl.media.spool import Spool
from dubl.settings import load_settings
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


def request() -> Request:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": BODY, "more_body": False}

    headers = [(b"content-type", b"multipart/form-data; boundary=x")]
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)
