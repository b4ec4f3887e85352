"""API keys."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """The permission of a key. ADMIN allows everything."""

    CHECK = "check"
    REGISTER = "register"
    REVIEW = "review"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """An API key as stored, with the SHA-256 of its secret only.

    `libraries` empty: all libraries. Limits of 0: those of the settings. Times are UTC, ISO 8601;
    `revoked_at` is empty while the key is valid.
    """

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
        """The public part of the key, which identifies it."""
        return f"dubl_{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """A decision, change, export or deletion that was made over HTTP, and by which key.

    `key_id` is empty where no keys are required. `action`: method and route; `path`: what was
    addressed. `created_at` is UTC, ISO 8601.
    """

    id: str
    created_at: str
    key_id: str
    key_name: str
    action: str
    path: str
    request_id: str
