"""API keys: creation, recognition, storage.

A key is `dubl_<id>_<secret>`. The secret has 256 random bits and cannot be guessed, so its plain
SHA-256 is stored. A slow hash, as for passwords, would cost its time in every request.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from dubl.errors import ConfigurationError, KeyNotFound, StoreUnavailable, Unauthorized
from dubl.ledger.clock import utc_now
from dubl.ledger.database import LOCKED, Connection, Database
from dubl.ledger.records import KEYS
from dubl.types import ApiKey, Scope

TOKEN_PREFIX = "dubl"
ROOT = "root"
ROOT_SECRET_LENGTH = 32  # least characters; chosen
_ID_BYTES = 6  # random bytes; chosen
_SECRET_BYTES = 32  # random bytes, 256 bits; chosen


class NewKey(NamedTuple):
    """A key with its token, which is shown once and never stored."""

    token: str
    key: ApiKey


def make_key(
    name: str,
    *,
    scopes: Sequence[Scope],
    libraries: Sequence[str] = (),
    requests_per_minute: int = 0,
    jobs_per_day: int = 0,
) -> NewKey:
    key_id, secret = secrets.token_hex(_ID_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
    key = ApiKey(
        id=key_id,
        name=name,
        secret_sha256=_digest(secret),
        scopes=tuple(scopes),
        libraries=tuple(libraries),
        requests_per_minute=requests_per_minute,
        jobs_per_day=jobs_per_day,
        created_at=utc_now(),
    )
    return NewKey(f"{TOKEN_PREFIX}_{key_id}_{secret}", key)


def root_key(token: str) -> ApiKey:
    """An administrator's key from its token, for clusters that keep it in a secret.

    Raises ConfigurationError.
    """
    secret = token.removeprefix(f"{TOKEN_PREFIX}_{ROOT}_")
    if secret == token or len(secret) < ROOT_SECRET_LENGTH:
        raise ConfigurationError(
            f"access.root_key must be {TOKEN_PREFIX}_{ROOT}_ and at least {ROOT_SECRET_LENGTH} "
            "random characters"
        )
    return ApiKey(
        id=ROOT, name=ROOT, secret_sha256=_digest(secret), scopes=(Scope.ADMIN,), created_at=""
    )


def recognize(token: str, keys: Sequence[ApiKey]) -> ApiKey:
    """The key of a token. Secrets are compared in constant time, also for unknown ids.

    Raises Unauthorized.
    """
    prefix, _, rest = token.partition("_")
    key_id, _, secret = rest.partition("_")
    known = next((key for key in keys if key.id == key_id and not key.revoked_at), None)
    kept = "" if known is None else known.secret_sha256
    same = hmac.compare_digest(_digest(secret), kept or _digest(key_id))
    if known is None or not same or prefix != TOKEN_PREFIX:
        raise Unauthorized("the API key is not valid")
    return known


def session_secret(folder: Path) -> bytes:
    """What sessions are signed with: a file of `folder` for its owner alone, made when it is
    missing. It is in no ledger and no back-up. Raises StoreUnavailable.
    """
    path = folder / "session.secret"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            partial = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
            partial.touch(mode=0o600)
            partial.write_bytes(secrets.token_bytes(32))
            with suppress(FileExistsError):  # another process was first
                path.hardlink_to(partial)
            partial.unlink()
        return path.read_bytes()
    except OSError as exc:
        raise StoreUnavailable(f"{path} cannot be used: {exc}") from exc


def sign_session(key: ApiKey, secret: bytes, *, expires_at: int) -> str:
    """A text that stands for a key until then (Unix seconds), and does not tell its secret."""
    told = f"{key.id}.{expires_at}"
    return f"{told}.{_signed(told, key, secret)}"


def recognize_session(session: str, keys: Sequence[ApiKey], secret: bytes) -> ApiKey:
    """The key of a signed session. Raises Unauthorized for a wrong, old or revoked one."""
    told, _, signature = session.rpartition(".")
    key_id, _, expires_at = told.partition(".")
    known = next((key for key in keys if key.id == key_id and not key.revoked_at), None)
    same = known is not None and hmac.compare_digest(
        signature.encode(), _signed(told, known, secret).encode()
    )
    if known is None or not same or int(expires_at) < time.time():
        raise Unauthorized("the log-in has ended. Enter the key again.")
    return known


def _signed(text: str, key: ApiKey, secret: bytes) -> str:
    # The key's hash alone would do for whoever holds a copy of the ledger.
    return hmac.new(secret + key.secret_sha256.encode(), text.encode(), hashlib.sha256).hexdigest()


class ApiKeys:
    """The ledger's table of keys. Methods raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, key: ApiKey) -> None:
        with self._database.transaction("keep a key") as connection:
            KEYS.put(connection, key)

    def list(self) -> tuple[ApiKey, ...]:
        """All keys, also revoked ones, oldest first."""
        return KEYS.objects(self._database.rows(KEYS.select("ORDER BY created_at, id")))

    def revoke(self, key_id: str) -> ApiKey:
        """Revokes a key; nothing happens if it is revoked. Raises KeyNotFound."""
        with self._database.transaction("revoke a key") as connection:
            connection.execute(
                "UPDATE api_keys SET revoked_at = ? WHERE id = ? AND revoked_at = ''",
                [utc_now(), key_id],
            )
        found = [key for key in self.list() if key.id == key_id]
        if not found:
            raise KeyNotFound(f"there is no key '{key_id}'", context={"key_id": key_id})
        return found[0]

    def count_job(self, key_id: str, day: str) -> int:
        """Counts a job of the key; returns the number of its jobs on that day (UTC)."""
        counted = (
            "INSERT INTO api_key_usage VALUES (?, ?, 1) ON CONFLICT (key_id, day) "
            "DO UPDATE SET jobs = api_key_usage.jobs + 1 RETURNING jobs"
        )
        with self._database.transaction("count a job") as connection:
            (count,) = connection.execute(counted, [key_id, day]).fetchone() or (1,)
        return int(count)


def take_jobs(connection: Connection, key_id: str, wanted: int, *, usual_limit: int) -> int:
    """Counts jobs of a key today (UTC), as far as its limit a day goes; returns their number.

    `usual_limit`: for keys without a limit of their own; 0: unlimited, nothing is counted.
    """
    own = f"SELECT jobs_per_day FROM api_keys WHERE id = ? {LOCKED}"  # for all that it uses
    limit = (connection.execute(own, [key_id]).fetchone() or (0,))[0] or usual_limit
    if not key_id or not limit:
        return wanted
    day = utc_now()[: len("2026-01-01")]
    used = "SELECT jobs FROM api_key_usage WHERE key_id = ? AND day = ?"
    (count,) = connection.execute(used, [key_id, day]).fetchone() or (0,)
    taken = max(0, min(wanted, limit - count))
    connection.execute(
        "INSERT INTO api_key_usage VALUES (?, ?, ?) "
        "ON CONFLICT (key_id, day) DO UPDATE SET jobs = api_key_usage.jobs + excluded.jobs",
        [key_id, day, taken],
    )
    return int(taken)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
