"""The clients: one for event loops, and one that blocks.

with Client("http://localhost:8000") as dubl:
    check = dubl.check("upload.mp4")
    print(check.outcome, [match.reference_id for match in check.matches])

async with AsyncClient("http://localhost:8000") as dubl:
    check = await dubl.check("upload.mp4")
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Concatenate, ParamSpec, Self, TypeVar

import httpx

from dubl.client.exchange import Operation, Retries, build, refusal
from dubl.client.operations import Operations
from dubl.closing import Closing
from dubl.errors import needs_extra

if TYPE_CHECKING:
    from dubl.fingerprints import Fingerprinter

P = ParamSpec("P")
Result = TypeVar("Result")
Call = Callable[Concatenate[Operations, P], Coroutine[object, object, Result]]


class AsyncClient(Operations):
    """The client of a service, for event loops."""

    def __init__(
        self,
        address: str,
        *,
        api_key: str = "",
        timeout_s: float = 60.0,
        retries: Retries | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`transport` replaces the network, for example in tests."""
        self._retries = retries or Retries()
        self._http = httpx.AsyncClient(
            base_url=address, headers=_headers(api_key), timeout=timeout_s, transport=transport
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _send(
        self, operation: Operation[Result], file: BinaryIO | None = None
    ) -> httpx.Response:
        return await self._http.send(build(self._http, operation, file))

    async def _fingerprinted(self, file: Path, folder: Path) -> Path:
        return await asyncio.to_thread(fingerprinted, file, folder)

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _store(self, address: str, path: Path) -> None:
        async with self._http.stream("GET", address) as response:
            if not response.is_success:
                await response.aread()
                raise refusal(response)
            with path.open("xb") as file:
                async for chunk in response.aiter_bytes():
                    file.write(chunk)


class _Blocking(Operations):
    """Never suspends: an awaited call has finished when it returns."""

    def __init__(self, http: httpx.Client, retries: Retries) -> None:
        self._http = http
        self._retries = retries

    async def _send(
        self, operation: Operation[Result], file: BinaryIO | None = None
    ) -> httpx.Response:
        return self._http.send(build(self._http, operation, file))

    async def _fingerprinted(self, file: Path, folder: Path) -> Path:
        return fingerprinted(file, folder)

    async def _pause(self, seconds: float) -> None:
        time.sleep(seconds)

    async def _store(self, address: str, path: Path) -> None:
        with self._http.stream("GET", address) as response:
            if not response.is_success:
                response.read()
                raise refusal(response)
            with path.open("xb") as file:
                for chunk in response.iter_bytes():
                    file.write(chunk)


def waited(call: Call[P, Result]) -> Callable[Concatenate[Client, P], Result]:
    """The same call for a blocking caller."""

    @wraps(call)
    def method(client: Client, /, *args: P.args, **kwargs: P.kwargs) -> Result:
        coroutine = call(client._calls, *args, **kwargs)
        try:
            coroutine.send(None)
        except StopIteration as done:
            result: Result = done.value
            return result
        coroutine.close()
        raise RuntimeError(f"{call} waited for something that only an event loop can do")

    return method


class Client(Closing):
    """The client of a service, for threads; thread-safe like httpx."""

    def __init__(
        self,
        address: str,
        *,
        api_key: str = "",
        timeout_s: float = 60.0,
        retries: Retries | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """`transport` replaces the network, for example in tests."""
        self._http = httpx.Client(
            base_url=address, headers=_headers(api_key), timeout=timeout_s, transport=transport
        )
        self._calls = _Blocking(self._http, retries or Retries())

    def close(self) -> None:
        self._http.close()

    # Documented in Operations.
    check = waited(Operations.check)
    submit_check = waited(Operations.submit_check)
    wait_for_check = waited(Operations.wait_for_check)
    list_checks = waited(Operations.list_checks)
    nearest = waited(Operations.nearest)
    search_frame = waited(Operations.search_frame)
    delete_check = waited(Operations.delete_check)
    list_holds = waited(Operations.list_holds)
    hold_check = waited(Operations.hold_check)
    release_check = waited(Operations.release_check)
    get_evidence = waited(Operations.get_evidence)
    download = waited(Operations.download)
    save = waited(Operations.save)
    register = waited(Operations.register)
    get_reference = waited(Operations.get_reference)
    list_references = waited(Operations.list_references)
    update_reference = waited(Operations.update_reference)
    delete_reference = waited(Operations.delete_reference)
    list_libraries = waited(Operations.list_libraries)
    get_library_policy = waited(Operations.get_library_policy)
    calibrate_library = waited(Operations.calibrate_library)
    review_queue = waited(Operations.review_queue)
    review_many = waited(Operations.review_many)
    list_reviews = waited(Operations.list_reviews)
    review = waited(Operations.review)
    list_quarantines = waited(Operations.list_quarantines)
    decide_quarantine = waited(Operations.decide_quarantine)
    submit_batch = waited(Operations.submit_batch)
    get_job = waited(Operations.get_job)
    wait_for_job = waited(Operations.wait_for_job)
    list_jobs = waited(Operations.list_jobs)
    cancel_job = waited(Operations.cancel_job)
    requeue_job = waited(Operations.requeue_job)
    list_deliveries = waited(Operations.list_deliveries)
    replay_delivery = waited(Operations.replay_delivery)
    create_key = waited(Operations.create_key)
    list_keys = waited(Operations.list_keys)
    revoke_key = waited(Operations.revoke_key)
    list_audit = waited(Operations.list_audit)
    list_spaces = waited(Operations.list_spaces)
    missing_references = waited(Operations.missing_references)
    switch_space = waited(Operations.switch_space)
    roll_back_space = waited(Operations.roll_back_space)
    readiness = waited(Operations.readiness)


def fingerprinted(file: Path, folder: Path) -> Path:
    """The fingerprint of a file, written into a folder. Raises ExtraMissing, DublError."""
    return _maker().write(file, folder)


@cache
def _maker() -> Fingerprinter:
    """One for all clients of a process."""
    with needs_extra():
        from dubl.fingerprints import Fingerprinter

        return Fingerprinter()


def _headers(api_key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {api_key}"} if api_key else {}
