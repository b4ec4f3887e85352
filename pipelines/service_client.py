"""What commands ask of a running service, with an administrator's key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import httpx

from dubl.errors import ServiceRefused

TIMEOUT_S = 60.0


class ServiceClient:
    """JSON in, JSON out. Raises ServiceRefused."""

    def __init__(
        self, url: str, *, key: str = "", transport: httpx.BaseTransport | None = None
    ) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(
            base_url=url, headers=headers, timeout=TIMEOUT_S, transport=transport
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def ask(
        self, method: str, path: str, body: dict[str, object] | None = None
    ) -> dict[str, object]:
        """The answer's JSON object."""
        with self.stream(method, path, body) as response:
            response.read()
            answer = response.json()
        if not isinstance(answer, dict):
            raise ServiceRefused(f"{method} {path} was answered with something else than an object")
        return answer

    @contextmanager
    def stream(
        self, method: str, path: str, body: dict[str, object] | None = None
    ) -> Iterator[httpx.Response]:
        """The answer, its body still to be read."""
        try:
            with self._http.stream(method, path, json=body) as response:
                if response.is_error:
                    response.read()
                    raise ServiceRefused(_reason(response))
                yield response
        except httpx.HTTPError as exc:
            raise ServiceRefused(f"the service does not answer properly: {exc}") from exc


def _reason(response: httpx.Response) -> str:
    try:
        problem = response.json()
    except ValueError:
        return f"the service answered {response.status_code}"
    return f"{problem.get('code')}: {problem.get('detail')}"
