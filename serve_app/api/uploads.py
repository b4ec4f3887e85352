"""Reads a submission: multipart with `file` and plain fields, or a JSON object with `link`.

A file part is hashed, counted and written to the spool while it arrives, in one pass. It is refused
at the first byte over the limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from dubl.contract.strict_json import parse_json
from dubl.errors import InvalidRequest
from dubl.media.spool import Spool, SpoolWriter
from dubl.types import VideoSource

MAX_FIELDS_BYTES = 1024 * 1024  # of names and values together; chosen, bounds memory
FILE_FIELD = "file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """The caller's plain fields, and the file if there is one."""

    fields: dict[str, object]
    upload: VideoSource | None = None

    def discard(self, spool: Spool) -> None:
        """Removes the file of a request that was refused."""
        if self.upload is not None:
            spool.remove(self.upload)


async def read_submission(request: Request, *, spool: Spool) -> Submission:
    """The submission of a request. Raises InvalidRequest, SourceTooLarge."""
    content_type, options = parse_options_header(request.headers.get("content-type", ""))
    if content_type == b"multipart/form-data":
        return await _MultipartReader(spool, options.get(b"boundary", b"")).read(_body(request))
    return Submission(fields=await read_json_object(request))


async def read_json_object(request: Request) -> dict[str, object]:
    """The body as a JSON object, for any Content-Type."""
    body = bytearray()
    async for chunk in _body(request):
        body += chunk
        if len(body) > MAX_FIELDS_BYTES:
            raise InvalidRequest("the body is too large for a JSON request")
    try:
        fields = parse_json(body)
    except ValueError as exc:
        raise InvalidRequest(
            "send multipart/form-data with a `file`, or a JSON object with a `link`"
        ) from exc
    if not isinstance(fields, dict):
        raise InvalidRequest("the body must be a JSON object")
    return fields


async def _body(request: Request) -> AsyncIterator[bytes]:
    """The body. Raises InvalidRequest if the caller disconnects while sending."""
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect as exc:
        raise InvalidRequest("the connection ended before the end of the body") from exc


class _MultipartReader:
    """The parser's callbacks for one request."""

    def __init__(self, spool: Spool, boundary: bytes) -> None:
        if not boundary:
            raise InvalidRequest("multipart/form-data needs a boundary")
        callbacks: dict[str, Callable[..., None]] = {
            "on_part_begin": self._part_begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._part_data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }
        self._spool = spool
        self._parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]
        self._fields: dict[str, object] = {}
        self._fields_size = 0
        self._writer: SpoolWriter | None = None
        self._upload: VideoSource | None = None
        self._finished = False

    async def read(self, stream: AsyncIterator[bytes]) -> Submission:
        try:
            async for chunk in stream:
                await asyncio.to_thread(self._parser.write, chunk)
            if not self._finished:
                raise InvalidRequest("the multipart body ends too early")
        except MultipartParseError as exc:
            self._discard()
            raise InvalidRequest(f"the multipart body is malformed: {exc}") from exc
        except BaseException:
            self._discard()
            raise
        return Submission(fields=self._fields, upload=self._upload)

    def _part_begin(self) -> None:
        self._headers: dict[bytes, bytes] = {}
        self._header_name = b""
        self._header_text = b""
        self._value = bytearray()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_text += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._header_name.lower()] = self._header_text
        self._header_name, self._header_text = b"", b""

    def _headers_finished(self) -> None:
        disposition = self._headers.get(b"content-disposition", b"")
        _, options = parse_options_header(disposition)
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        self._count(len(self._name))
        if self._name != FILE_FIELD:
            return
        if self._writer is not None or self._upload is not None:
            raise InvalidRequest("send one `file` only")
        file_name = options.get(b"filename", b"").decode("utf-8", "replace")
        self._writer = self._spool.writer(file_name or "upload")

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._writer is not None:
            self._writer.write(data[start:end])
            return
        self._count(end - start)
        self._value += data[start:end]

    def _count(self, size: int) -> None:
        """Limits the size of fields' names and values, which are kept in memory; the file goes to
        disk."""
        self._fields_size += size + 1
        if self._fields_size > MAX_FIELDS_BYTES:
            raise InvalidRequest("the plain fields are too large")

    def _part_end(self) -> None:
        if self._writer is not None:
            self._upload = self._writer.commit()
            self._writer = None
        elif self._name:
            self._fields[self._name] = self._value.decode("utf-8", "replace")

    def _end(self) -> None:
        self._finished = True

    def _discard(self) -> None:
        if self._writer is not None:
            self._writer.discard()
        if self._upload is not None:
            self._spool.remove(self._upload)
