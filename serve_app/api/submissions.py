"""Submissions: multipart with `file` and plain fields, a JSON object with `link`, or a fingerprint
with fields in the address.

A file part is hashed, counted and written to the spool while it arrives, in one pass. It is refused
at the first byte over the limit.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from fastapi.responses import JSONResponse
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from dubl.contract import bodies
from dubl.contract.orders import Order, Terms
from dubl.contract.strict_json import parse_json
from dubl.engine.runner import Ended
from dubl.errors import InputError, InvalidFingerprint, InvalidRequest, Overloaded, RateLimited
from dubl.media.kinds import FINGERPRINT_TYPE
from dubl.media.spool import Spool, SpoolWriter
from dubl.types import Job, JobState, VideoSource
from serve_app.api.access import principal_of
from serve_app.api.context import Context
from serve_app.api.problems import error_of

MAX_FIELDS_BYTES = 1024 * 1024  # of names and values together; chosen, bounds memory
# A body is as fast as this on average, after a first while; chosen below any link of today.
MIN_BODY_BYTES_S = 8192
BODY_GRACE_S = 20.0
# Of their own, so that uploads never wait for what else is slow. They begin when they are needed.
WRITERS = ThreadPoolExecutor(8, thread_name_prefix="upload")
FILE_FIELD = "file"
OF_ANSWERS = {"min_probability"}  # parameters of an address that are no fields of a submission
WAIT_PATTERN = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d+(?:\.\d+)?)\"?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """The caller's plain fields, and the file if there is one."""

    fields: dict[str, object]
    upload: VideoSource | None = None

    def discard(self, spool: Spool) -> None:
        """Removes the file of a request that was refused."""
        if self.upload is not None:
            spool.remove(self.upload)


def wait_seconds(request: Request, *, longest: float) -> float:
    """The seconds in Prefer: wait=N; 0 without it."""
    found = WAIT_PATTERN.search(request.headers.get("prefer", "").lower())
    return min(float(found.group(1)), longest) if found else 0.0


async def ordered(
    context: Context,
    request: Request,
    read: Callable[[Submission], Awaitable[tuple[Order, Terms]]],
    *,
    seconds: float = 0.0,
) -> Ended:
    """Reads a submission, accepts its order, and waits for the end of the job.

    Raises Overloaded, RateLimited, what is wrong with the fields, and the error of a failed job.
    """
    key_id = principal_of(request).key_id
    context.admission.require(key_id, waits=seconds > 0)
    submission = await read_submission(request, spool=context.spool)
    with ExitStack() as place:
        async with _discarding(submission, context.spool):
            order, terms = await read(submission)
            terms = replace(terms, key_id=key_id)
            place.enter_context(context.admission.room(key_id, waits=terms.waits))
            with context.admission.accepting():
                job = await context.engine.jobs.accept(order, terms)
        return await awaited(context, job, seconds=seconds, terms=terms)


async def awaited(context: Context, job: Job, *, seconds: float, terms: Terms) -> Ended:
    """The job when it ends, or after `seconds`. Raises the error of a failed job.

    A job of which only this request knows is cancelled if the caller disconnects before.
    """
    try:
        ended = await context.engine.jobs.wait(job, seconds=seconds)
    except asyncio.CancelledError:
        if terms.waits and not terms.known:
            context.engine.jobs.abandon(job)
        raise
    if ended.job.state in (JobState.FAILED, JobState.CANCELLED):
        raise error_of(ended.job)
    return ended


def accepted(job: Job, *, location: str, id: str = "") -> JSONResponse:  # noqa: A002
    """202 with the address of the result. `id`: default: the id of what was ordered."""
    body = bodies.Accepted(id=id or job.subject_id, job_id=job.id, status=job.state)
    return JSONResponse(
        body.model_dump(exclude_none=True), status_code=202, headers={"Location": location}
    )


async def read_submission(request: Request, *, spool: Spool) -> Submission:
    """The submission of a request. Raises InvalidRequest, SourceTooLarge."""
    content_type, options = parse_options_header(request.headers.get("content-type", ""))
    if content_type == b"multipart/form-data":
        return await _MultipartReader(spool, options.get(b"boundary", b"")).read(_body(request))
    if content_type == FINGERPRINT_TYPE.encode():
        return await _read_fingerprint(request, spool)
    return Submission(fields=await read_json_object(request))


async def _read_fingerprint(request: Request, spool: Spool) -> Submission:
    """A body that is a fingerprint; the fields are in the address."""
    loop = asyncio.get_running_loop()
    with spool.writer("fingerprint") as writer:
        async for chunk in _body(request):
            await loop.run_in_executor(WRITERS, writer.write, chunk)
        upload = await loop.run_in_executor(WRITERS, writer.commit)
    if not upload.fingerprint:
        spool.remove(upload)
        raise InvalidFingerprint("the body does not begin as a fingerprint")
    given = request.query_params.items()
    fields: dict[str, object] = {name: v for name, v in given if name not in OF_ANSWERS}
    return Submission(fields=fields, upload=upload)


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
    """The body. Raises InvalidRequest if the caller disconnects while sending, or is too slow."""
    stream, received, started = aiter(request.stream()), 0, asyncio.get_running_loop().time()
    try:
        while True:
            async with asyncio.timeout_at(started + BODY_GRACE_S + received / MIN_BODY_BYTES_S):
                chunk = await anext(stream, None)
            if chunk is None:
                return
            received += len(chunk)
            yield chunk
    except TimeoutError as exc:
        raise InvalidRequest(
            f"the body brings less than {MIN_BODY_BYTES_S} bytes a second"
        ) from exc
    except ClientDisconnect as exc:
        raise InvalidRequest("the connection ended before the end of the body") from exc


@asynccontextmanager
async def _discarding(submission: Submission, spool: Spool) -> AsyncIterator[None]:
    """Removes the file of a refused submission.

    After other errors the job may have been accepted. Then the file stays, and the reconciler
    removes it if no job needs it.
    """
    try:
        yield
    except (InputError, Overloaded, RateLimited):
        await asyncio.to_thread(submission.discard, spool)
        raise


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
        loop = asyncio.get_running_loop()
        try:
            async for chunk in stream:
                await loop.run_in_executor(WRITERS, self._parser.write, chunk)
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
