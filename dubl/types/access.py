"""API keys."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """What a key allows. ADMIN allows everything."""

    CHECK = "check"
    REGISTER = "register"
    REVIEW = "review"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """An API key as it is kept: of its secret only the SHA-256. `libraries` empty: all of them;
    limits of 0: those of the settings. Times are UTC, ISO 8601; `revoked_at` is empty while it
    works."""

    id: str
    name: str
    secret_sha256: str
    scopes: tuple[Scope, ...]
    libraries: tuple[str, ...] = ()
    requests_per_minute: int = 0
    jobs_per_day: int = 0
    created_at: str
    revoked_at: str = ""

    @property
    def prefix(self) -> str:
        """What may be shown: enough to tell keys apart."""
        return f"dubl_{self.id}"
