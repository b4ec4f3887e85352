"""What may go wrong between a client and the service.

ClientError
├── ApiError         the service refused: its code, its words, its hint
│   └── JobFailed    accepted work came to nothing, for the reason given
├── NotReachable     no answer, or none that is the service's
└── StillRunning     the work goes on after the time that was to be waited
"""

from __future__ import annotations


class ClientError(Exception):
    """Base of all errors of the client; `code` is stable, `hint` says what to do."""

    code: str = "client_error"
    hint: str = ""

    @property
    def detail(self) -> str:
        return str(self)


class ApiError(ClientError):
    """`code` is stable (docs of dubl.errors); `status` is HTTP's; `request_id` is for the log."""

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
    """Accepted work failed."""


class NotReachable(ClientError):
    """The service could not be asked."""

    code = "not_reachable"
    hint = "Check the address, and that the service runs."


class StillRunning(ClientError):
    """Ask again later: `id` is that of the check, reference or job."""

    code = "still_running"
    hint = "Ask again later, or wait longer."

    def __init__(self, identifier: str) -> None:
        super().__init__(f"{identifier} is not finished yet")
        self.id = identifier
