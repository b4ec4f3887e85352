"""Borders at which bytes of strangers are read. Each takes any bytes, and raises nothing but the
errors that it names."""

from __future__ import annotations

import asyncio
import contextlib
import io
import zipfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from starlette.requests import Request

from dubl.contract.forms import read_form
from dubl.contract.requests import ChangeForm, CheckForm, ReferenceForm
from dubl.errors import DublError, InvalidRequest, SourceForbidden, Unauthorized
from dubl.ledger.api_keys import make_key, recognize
from dubl.media import addresses, wire
from dubl.media.archives import unpack
from dubl.media.links import fetch_link
from dubl.media.spool import Spool
from dubl.settings import MediaSettings
from dubl.types import PagePosition, Scope
from serve_app.api.legacy import legacy_order
from serve_app.api.submissions import read_json_object, read_submission

_KEY = make_key("fuzz", scopes=[Scope.CHECK])


class Unreachable(Exception):
    """Stands for the network, which no border test may reach."""


@contextmanager
def no_network() -> Iterator[None]:
    """Every look-up ends at once."""

    def refused(host: str, port: int, limit_s: float) -> list[str]:
        del port, limit_s
        raise Unreachable(host)

    kept, addresses._timely_look_up = addresses._timely_look_up, refused
    try:
        yield
    finally:
        addresses._timely_look_up = kept


def take_multipart(data: bytes, folder: Path) -> None:
    """A multipart body whose boundary is x."""
    content_type = b"multipart/form-data; boundary=x"
    spool = Spool(folder / "uploads", max_size_bytes=10_000)

    async def read() -> None:
        submission = await read_submission(_request(data, content_type), spool=spool)
        try:
            read_form(ReferenceForm, submission.fields).order(submission.upload)
            read_form(CheckForm, submission.fields).order(submission.upload)
        finally:
            submission.discard(spool)

    with contextlib.suppress(DublError):
        asyncio.run(read())
    assert not any((folder / "uploads").glob("*"))


def take_json(data: bytes, folder: Path) -> None:
    """A JSON body for each route that takes one."""
    spool = Spool(folder, max_size_bytes=10_000)

    async def read(use: Callable[[], Awaitable[object]]) -> None:
        with contextlib.suppress(InvalidRequest):
            await use()

    async def checked() -> None:
        submission = await read_submission(_request(data, b"application/json"), spool=spool)
        with contextlib.suppress(InvalidRequest):
            read_form(CheckForm, submission.fields).order(submission.upload)
        read_form(ReferenceForm, submission.fields).order(submission.upload)

    async def changed() -> None:
        ChangeForm.change(await read_json_object(_request(data, b"application/json")))

    async def legacy() -> None:
        legacy_order(await read_json_object(_request(data, b"text/plain")))

    for use in (checked, changed, legacy):
        asyncio.run(read(use))


def take_link(data: bytes, folder: Path) -> None:
    """A link."""
    with no_network(), contextlib.suppress(SourceForbidden, Unreachable):
        fetch_link(data.decode("utf-8", "replace"), spool_dir=folder, settings=MediaSettings())


def take_text(data: bytes, folder: Path) -> None:
    """A cursor, and a key."""
    del folder
    text = data.decode("utf-8", "replace")
    with contextlib.suppress(InvalidRequest):
        PagePosition.from_cursor(text)
    with contextlib.suppress(Unauthorized):
        recognize(text, [_KEY.key])


def take_answer(data: bytes, folder: Path) -> None:
    """What a decoding process says that a file has taken over."""
    del folder
    with contextlib.suppress(DublError, ValueError):
        clip = wire.empty_clip(wire.unpack(data), frame_size=8, max_rows=10)
        assert clip.frames.dtype == np.uint8


def take_zip(data: bytes, folder: Path) -> None:
    """An archive of a batch."""
    path, spool = folder / "archive", Spool(folder / "videos", max_size_bytes=10_000)
    path.write_bytes(data)
    with contextlib.suppress(DublError):
        for entry in unpack(str(path), spool=spool, max_entries=3, max_size_bytes=10_000):
            if entry.source is not None:
                spool.remove(entry.source)
    assert not any((folder / "videos").glob("*"))
    path.unlink()


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.mp4", b"x" * 50, zipfile.ZIP_DEFLATED)
        archive.writestr("b/c.mp4", b"y")
    return buffer.getvalue()


BORDERS = (take_multipart, take_json, take_link, take_text, take_answer, take_zip)

HEAD = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
SEEDS = (
    _zip(),
    HEAD + b"abc\r\n--x\r\nContent-Disposition: form-data; name=id\r\n\r\n7\r\n--x--\r\n",
    b'{"link": "https://example.org/a.mp4", "metadata": {"a": [1, null]}, "library": "main"}',
    b"https://user:pass@[::1%25lo]:99/\xd0\xb0?b#c",
    _KEY.token.encode(),
    b'{"rows": 1, "facts": {"duration_s": 1, "width": 2}, "timings_ms": {"decode": 1}}',
    b'{"error": "not_a_video", "detail": "no", "context": {"a": 1}}',
)


def _request(data: bytes, content_type: bytes) -> Request:
    chunks = [data[: len(data) // 2], data[len(data) // 2 :]]

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks)}

    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", content_type)]}
    return Request(scope, receive)
