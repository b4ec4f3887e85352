"""Errors between a client and the service.

ClientError
├── ApiError         the service refused the request: code, detail, hint
│   └── JobFailed    an accepted job failed, with its reason
├── NotReachable     no answer, or an answer that is not the service's
└── StillRunning     the work continues after the time limit
"""

from __future__ import annotations


class ClientError(Exception):
    """Base of all errors of the client. `code` is stable; `hint` says what to do."""

    code: str = "client_error"
    hint: str = ""

    @property
    def detail(self) -> str:
        return str(self)


class ApiError(ClientError):
    """A refused request. `code` as in dubl.errors; `status` of HTTP; `request_id` for the log."""

    def __init__(
        self, detail: str, *, code: str, status: int, hint: str = "", request_id: str = ""
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self._detail = detail
        self.code = code
        self.status = status
        self.hint = hint
        self.request_id = request_id

    @property
    def detail(self) -> str:
        return self._detail


class JobFailed(ApiError):
    """An accepted job failed."""


class NotReachable(ClientError):
    """The service could not be reached."""

    code = "not_reachable"
    hint = "Check the address, and that the service runs."


class StillRunning(ClientError):
    """The work continues. Ask again later: `id` is that of the check, reference or job."""

    code = "still_running"
    hint = "Ask again later, or wait longer."

    def __init__(self, identifier: str) -> None:
        super().__init__(f"{identifier} is not finished yet")
        self.id = identifier
