"""Between calls and httpx: requests, answers, retries."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar

import httpx
from pydantic import ValidationError

from dubl.client.errors import ApiError, JobFailed, NotReachable
from dubl.contract.bodies import Accepted, Job, Readiness
from dubl.contract.names import plain_text

Result = TypeVar("Result")
Query = Mapping[str, str | int | bool | Sequence[str] | None]

# The service has not begun with what it answers so.
REFUSED = frozenset({httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE})
# It may have.
INTERRUPTED = frozenset({httpx.codes.BAD_GATEWAY, httpx.codes.GATEWAY_TIMEOUT})
LONGEST_PAUSE_S = 30.0  # seconds between two tries; chosen
WAIT_MARGIN_S = 30.0  # seconds that a request may take beyond its Prefer: wait; chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Generic[Result]):
    """One request. `repeatable`: it may be sent again even if an earlier one has arrived.

    Empty values of `query` are left out.
    """

    method: str
    path: str
    read: Callable[[bytes], Result]
    query: Query = field(default_factory=dict)
    body: Mapping[str, object] | None = None
    file: Path | None = None
    wait_s: float = 0.0
    repeatable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """Number of tries, and the pause before the second one in seconds.

    The pause doubles each time, and is never shorter than Retry-After.
    """

    tries: int = 5
    pause_s: float = 0.5

    def pause_after(self, number: int, outcome: httpx.Response | httpx.HTTPError) -> float:
        """Seconds to wait after a try, numbered from 1; a random part spreads clients."""
        pause_s: float = min(self.pause_s * 2 ** (number - 1), LONGEST_PAUSE_S)
        pause_s *= random.uniform(0.75, 1.25)
        asked = ""
        if isinstance(outcome, httpx.Response):
            asked = outcome.headers.get("Retry-After", "")
        return max(pause_s, float(asked)) if asked.isdecimal() else pause_s


def opened(operation: Operation[Result]) -> AbstractContextManager[BinaryIO | None]:
    """The file that an operation sends, if any. Raises OSError."""
    return nullcontext() if operation.file is None else operation.file.open("rb")


def build(
    http: httpx.Client | httpx.AsyncClient, operation: Operation[Result], file: BinaryIO | None
) -> httpx.Request:
    """The request of one try."""
    headers = {"Prefer": f"wait={operation.wait_s:g}"} if operation.wait_s else {}
    timeout = http.timeout
    if operation.wait_s:
        timeout = httpx.Timeout(
            connect=timeout.connect,
            read=operation.wait_s + WAIT_MARGIN_S,
            write=timeout.write,
            pool=timeout.pool,
        )
    query = {k: v for k, v in operation.query.items() if v not in ("", (), None)}
    if file is None:
        return http.build_request(
            operation.method,
            operation.path,
            params=query,
            json=operation.body,
            headers=headers,
            timeout=timeout,
        )
    file.seek(0)
    return http.build_request(
        operation.method,
        operation.path,
        params=query,
        data=_form(operation.body or {}),
        files={"file": (plain_text(Path(file.name).name), file)},
        headers=headers,
        timeout=timeout,
    )


def _form(body: Mapping[str, object]) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else json.dumps(value) for name, value in body.items()
    }


def may_repeat(operation: Operation[Result], outcome: httpx.Response | httpx.HTTPError) -> bool:
    if isinstance(outcome, httpx.Response):
        refused = outcome.status_code in REFUSED
        return refused or (outcome.status_code in INTERRUPTED and operation.repeatable)
    # Without a connection nothing was sent.
    return operation.repeatable or isinstance(outcome, httpx.ConnectError)


def read(operation: Operation[Result], answer: httpx.Response) -> Result:
    """The answer. Raises ApiError, JobFailed, NotReachable."""
    if not answer.is_success:
        raise refusal(answer)
    try:
        return operation.read(answer.content)
    except ValidationError as exc:
        raise NotReachable(f"{answer.url} did not answer like the service: {exc}") from exc


def read_readiness(answer: httpx.Response) -> Readiness:
    """The readiness; a service that is not ready answers 503 with the reason.

    Raises ApiError, NotReachable.
    """
    if not answer.is_success and answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
        raise refusal(answer)
    try:
        body = answer.json()
        return Readiness.model_validate({**body, "date": answer.headers.get("Date", "")})
    except (ValueError, TypeError) as exc:
        raise NotReachable(f"{answer.url} did not answer like the service: {exc}") from exc


def require_alive(work: Accepted | Job) -> None:
    """Raises JobFailed if the job failed."""
    error = work.error
    if error is not None:
        raise JobFailed(error.detail, code=error.code, status=error.status, hint=error.hint)


def not_reachable(error: httpx.HTTPError) -> NotReachable:
    return NotReachable(f"the service did not answer: {error}")


def refusal(answer: httpx.Response) -> ApiError:
    try:
        body = answer.json()
    except ValueError:
        body = {}
    if not isinstance(body, dict):
        body = {}
    return ApiError(
        str(body.get("detail") or answer.reason_phrase),
        code=str(body.get("code") or f"http_{answer.status_code}"),
        status=answer.status_code,
        hint=str(body.get("hint") or ""),
        request_id=str(body.get("request_id") or ""),
    )
