"""The client that waits.

with Client("http://localhost:8000") as dubl:
    check = dubl.check("upload.mp4")
    print(check.outcome, [match.reference_id for match in check.matches])
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Self, TypeVar

import httpx

from dubl.client import admin_operations, operations
from dubl.client.admin_operations import OnProgress
from dubl.client.administration import Administration
from dubl.client.desk import Desk
from dubl.client.errors import StillRunning
from dubl.client.exchange import (
    Retries,
    build,
    may_repeat,
    not_reachable,
    opened,
    read,
    read_readiness,
    refusal,
    require_alive,
)
from dubl.client.models import (
    Accepted,
    Check,
    Library,
    Page,
    Readiness,
    Reference,
    Rights,
)
from dubl.client.operations import Operation

Result = TypeVar("Result")


class Client(Desk, Administration):
    """Thread-safe as httpx is. Every method raises ApiError, NotReachable."""

    def __init__(
        self,
        address: str,
        *,
        api_key: str = "",
        timeout_s: float = 60.0,
        retries: Retries | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """`transport` stands in for the network, in tests for example."""
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._retries = retries or Retries()
        self._http = httpx.Client(
            base_url=address, headers=headers, timeout=timeout_s, transport=transport
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def check(
        self,
        file: Path | str = "",
        *,
        link: str = "",
        id: str = "",  # noqa: A002
        libraries: Sequence[str] = (),
        channel: str = "",
        territory: str = "",
        time: str = "",
        callback_url: str = "",
        timeout_s: float = 600.0,
        on_progress: OnProgress | None = None,
    ) -> Check:
        """The verdict on a file or link, however long it takes within `timeout_s`, for where
        (`channel`, `territory` of two letters) and when (ISO 8601; else now) it is to be shown.
        `on_progress` is told the stage and the share of the usual work that is done.

        Raises JobFailed when the video cannot be checked, StillRunning after the time.
        """
        accepted = self.submit_check(
            file,
            link=link,
            id=id,
            libraries=libraries,
            channel=channel,
            territory=territory,
            time=time,
            callback_url=callback_url,
        )
        deadline = monotonic() + timeout_s
        if on_progress is not None:
            tell = admin_operations.telling(on_progress)
            self.wait_for_job(accepted.job_id, timeout_s=timeout_s, on_job=tell)
        return self.wait_for_check(accepted.id, timeout_s=max(deadline - monotonic(), 0.0))

    def submit_check(
        self,
        file: Path | str = "",
        *,
        link: str = "",
        id: str = "",  # noqa: A002
        libraries: Sequence[str] = (),
        channel: str = "",
        territory: str = "",
        time: str = "",
        callback_url: str = "",
    ) -> Accepted:
        """Asks, and comes back at once."""
        operation = operations.submit_check(
            file=Path(file) if file else None,
            link=link,
            fields={
                "id": id,
                "channel": channel,
                "territory": territory,
                "time": time,
                "callback_url": callback_url,
            },
            libraries=libraries,
        )
        return self._ask(operation)

    def wait_for_check(self, check_id: str, *, timeout_s: float = 600.0) -> Check:
        """Raises JobFailed, StillRunning."""
        deadline = time.monotonic() + timeout_s
        while True:
            wait_s = operations.poll_s(deadline)
            answer = self._ask(operations.get_check(check_id, wait_s=wait_s))
            if isinstance(answer, Check):
                return answer
            self._pause(answer, deadline)

    def list_checks(
        self, *, outcome: str = "", reference_id: str = "", limit: int = 50, cursor: str = ""
    ) -> Page[Check]:
        return self._ask(
            operations.list_checks(
                outcome=outcome, reference_id=reference_id, limit=limit, cursor=cursor
            )
        )

    def register(
        self,
        file: Path | str = "",
        *,
        link: str = "",
        path: str = "",
        id: str = "",  # noqa: A002
        library: str = "",
        title: str = "",
        owner: str = "",
        metadata: Mapping[str, object] | None = None,
        rights: Rights | None = None,
        timeout_s: float = 600.0,
    ) -> Reference:
        """Registers a file, a link, or a path on the service's machine, and waits until it is
        ready. What was there already is given as it is.

        Raises JobFailed when the video cannot be registered, StillRunning after the time.
        """
        deadline = time.monotonic() + timeout_s
        fields = {"id": id, "library": library, "title": title, "owner": owner}
        operation = operations.submit_reference(
            file=Path(file) if file else None,
            link=link,
            path=path,
            fields={
                **fields,
                "metadata": dict(metadata or {}),
                "rights": operations.plain(rights) if rights else {},
            },
            wait_s=operations.poll_s(deadline),
        )
        answer = self._ask(operation)
        while not isinstance(answer, Reference):
            self._pause(answer, deadline)
            wait_s = operations.poll_s(deadline)
            answer = self._ask(operations.get_reference(answer.id, wait_s=wait_s))
        return answer

    def get_reference(self, reference_id: str) -> Reference:
        """Raises ApiError, StillRunning while it is being registered."""
        answer = self._ask(operations.get_reference(reference_id))
        if isinstance(answer, Reference):
            return answer
        require_alive(answer)
        raise StillRunning(answer.id)

    def list_references(
        self,
        *,
        library: str = "",
        owner: str = "",
        text: str = "",
        limit: int = 50,
        cursor: str = "",
    ) -> Page[Reference]:
        return self._ask(
            operations.list_references(
                library=library, owner=owner, text=text, limit=limit, cursor=cursor
            )
        )

    def update_reference(
        self,
        reference_id: str,
        *,
        title: str | None = None,
        owner: str | None = None,
        metadata: Mapping[str, object] | None = None,
        rights: Rights | None = None,
    ) -> Reference:
        """Changes what is given; rights as a whole, and later checks see them at once."""
        change = {
            "title": title,
            "owner": owner,
            "metadata": metadata,
            "rights": operations.plain(rights) if rights else None,
        }
        given = {name: value for name, value in change.items() if value is not None}
        return self._ask(operations.update_reference(reference_id, given))

    def delete_reference(self, reference_id: str) -> None:
        self._ask(operations.delete_reference(reference_id))

    def list_libraries(self) -> tuple[Library, ...]:
        return self._ask(operations.list_libraries())

    def readiness(self) -> Readiness:
        """Whether requests are taken, and what is waited for."""
        try:
            answer = self._http.get("/readyz")
        except httpx.HTTPError as exc:
            raise not_reachable(exc) from exc
        return read_readiness(answer)

    def save(self, address: str, path: Path) -> None:
        """Writes what an address answers to a new file, however large. Raises OSError."""
        try:
            with self._http.stream("GET", address) as response:
                if not response.is_success:
                    response.read()
                    raise refusal(response)
                with path.open("xb") as file:
                    for chunk in response.iter_bytes():
                        file.write(chunk)
        except httpx.HTTPError as exc:
            raise not_reachable(exc) from exc

    def _pause(self, accepted: Accepted, deadline: float) -> None:
        """Before asking again. Raises JobFailed, StillRunning."""
        require_alive(accepted)
        if time.monotonic() >= deadline:
            raise StillRunning(accepted.id)
        time.sleep(operations.POLL_PAUSE_S)

    def _ask(self, operation: Operation[Result]) -> Result:
        with opened(operation) as file:
            for number in range(1, self._retries.tries + 1):
                outcome: httpx.Response | httpx.HTTPError
                try:
                    outcome = self._http.send(build(self._http, operation, file))
                except httpx.HTTPError as exc:
                    outcome = exc
                if number == self._retries.tries or not may_repeat(operation, outcome):
                    break
                time.sleep(self._retries.pause_after(number, outcome))
        if isinstance(outcome, httpx.HTTPError):
            raise not_reachable(outcome) from outcome
        return read(operation, outcome)
