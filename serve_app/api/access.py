"""The caller, by its key. Keys, limits and body sizes are checked before the body is read.

This is plain ASGI, as Starlette would spool a multipart body before any handler runs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request, cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dubl.engine.ledger import LedgerClient
from dubl.errors import DublError, Forbidden, InvalidRequest, Unauthorized
from dubl.ledger.api_keys import (
    ApiKeys,
    recognize,
    recognize_session,
    root_key,
    session_secret,
    sign_session,
)
from dubl.media.spool import too_large
from dubl.settings import AccessSettings
from dubl.types import ApiKey
from dubl.types import Scope as KeyScope
from serve_app.api.admission import Places
from serve_app.api.limits import Allowance, RequestLimit, UploadQuota, day_allowance, headers_of
from serve_app.api.problems import problem_response
from serve_app.api.proxied import person_of
from serve_app.api.routes import READ, is_open, is_whole, scopes_for, starts_job

COOKIE = "dubl_session"
SESSION_S = 12 * 3600  # of a log-in; chosen: a working day
CONSOLE_HEADER = "x-dubl-console"
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The owner of a key, or anybody if no keys are required. `libraries` empty: all."""

    key_id: str = ""
    name: str = ""
    scopes: frozenset[KeyScope] = frozenset(KeyScope)
    libraries: tuple[str, ...] = ()

    @classmethod
    def of(cls, key: ApiKey) -> Principal:
        return cls(
            key_id=key.id, name=key.name, scopes=frozenset(key.scopes), libraries=key.libraries
        )

    def sees(self, libraries: Sequence[str]) -> bool:
        """Whether the caller may see something about these libraries (empty: about all)."""
        if not self.libraries:
            return True
        return bool(libraries) and set(libraries) <= set(self.libraries)

    def require(self, library: str) -> None:
        """Raises Forbidden unless the caller may use the libraries."""
        if not self.sees([library]):
            raise Forbidden(f"the key is not for library '{library}'")

    def require_scope(self, scope: KeyScope) -> None:
        """Raises Forbidden unless the key has the scope."""
        if not self.scopes & {scope, KeyScope.ADMIN}:
            raise Forbidden(f"the key does not have the scope {scope}")

    def limited(self, libraries: Sequence[str]) -> tuple[str, ...]:
        """The libraries to search: the named ones, or all of the key's. Raises Forbidden."""
        for library in libraries:
            self.require(library)
        return tuple(libraries) or self.libraries

    def one_library(self, library: str) -> str:
        """The library of a listing; a key with several must name one. Raises Forbidden,
        InvalidRequest."""
        if library:
            self.require(library)
            return library
        if len(self.libraries) > 1:
            raise InvalidRequest(f"name one `library` of {', '.join(self.libraries)}")
        return self.libraries[0] if self.libraries else ""


ANYBODY = Principal()


def principal_of(request: Request) -> Principal:
    """The caller that AccessControl has found."""
    principal = request.scope["state"]["principal"]
    assert isinstance(principal, Principal)
    return principal


class KeyRing:
    """All keys: those of the ledger, and the settings' root key.

    They are cached for `access.refresh_s`, so requests with invented keys cost no look-up.
    """

    def __init__(self, ledger: LedgerClient, settings: AccessSettings, folder: Path) -> None:
        """`folder`: of the secret that log-ins are signed with.

        Raises ConfigurationError for an invalid root key, StoreUnavailable.
        """
        self._secret = session_secret(folder)
        token = settings.root_key.get_secret_value()
        self._root = (root_key(token),) if token else ()
        self._ledger = ledger
        self._refresh_s = settings.refresh_s
        self._keys: tuple[ApiKey, ...] = ()
        self._expires_at = float("-inf")
        self._lock = asyncio.Lock()

    async def all(self) -> tuple[ApiKey, ...]:
        """All current keys, also revoked ones."""
        return (*await self._ledger.ask(ApiKeys.list), *self._root)

    async def find(self, token: str) -> ApiKey:
        """The key of a token. Raises Unauthorized."""
        return recognize(token, await self._current())

    async def find_session(self, cookie: str) -> ApiKey:
        """The key of a log-in. Raises Unauthorized."""
        return recognize_session(cookie, await self._current(), self._secret)

    async def log_in(self, token: str) -> str:
        """The cookie that stands for a token. Raises Unauthorized."""
        expires_at = int(time.time()) + SESSION_S
        return sign_session(await self.find(token), self._secret, expires_at=expires_at)

    async def _current(self) -> Sequence[ApiKey]:
        async with self._lock:
            if time.monotonic() >= self._expires_at:
                self._keys = await self.all()
                self._expires_at = time.monotonic() + self._refresh_s
        return self._keys

    async def count_job(self, key: ApiKey) -> int:
        """Counts a job of the key; returns the number of its jobs today."""
        today = datetime.now(UTC).date().isoformat()
        return await self._ledger.ask(ApiKeys.count_job, key.id, today)

    def forget(self) -> None:
        """Drops the cache after a change of keys."""
        self._expires_at = float("-inf")


class AccessControl:
    """ASGI middleware. `required`: whether requests need a key.

    `local`: the service is for this machine only. Then pages of other sites in a browser cannot use
    it. `places`: of requests under way, of which no key gets all.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        ring: KeyRing,
        settings: AccessSettings,
        required: bool,
        local: bool,
        max_body_bytes: int,
        places: Places,
    ) -> None:
        self._app = app
        self._ring = ring
        self._settings = settings
        self._required = required
        self._local = local
        self._max_body_bytes = max_body_bytes
        self._limit = RequestLimit()
        self._quota = UploadQuota(settings.upload_bytes_per_day)
        self._places = places

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        allowances: list[Allowance] = []

        async def send_with_limits(message: Message) -> None:
            if message["type"] == "http.response.start" and allowances:
                MutableHeaders(scope=message).update(headers_of(allowances))
            await send(message)

        with ExitStack() as place:
            try:
                principal = await self._admit(scope, allowances)
                place.enter_context(self._places.hold(principal.key_id))
                self._check_length(Headers(scope=scope), principal.key_id)
            except DublError as exc:
                refusal = problem_response(exc, Request(scope))
                await refusal(scope, receive, send_with_limits)
                return
            scope.setdefault("state", {})["principal"] = principal
            bounded = self._bounded(receive, principal.key_id)
            await self._app(scope, bounded, send_with_limits)

    async def _admit(self, scope: Scope, allowances: list[Allowance]) -> Principal:
        method, path, headers = scope["method"], scope["path"], Headers(scope=scope)
        if self._local:
            _require_local(headers)
        if not self._required or is_open(path):
            return ANYBODY
        key = await self._caller(scope, headers)
        per_minute = key.requests_per_minute or self._settings.requests_per_minute
        allowances.append(self._limit.take(key.id, per_minute))
        allowances[-1].require()
        if not scopes_for(method, path) & set(key.scopes):
            raise Forbidden(f"the key's scopes do not allow {method} {path}")
        if key.libraries and is_whole(path):
            raise Forbidden(f"{path} is not for a key of some libraries")
        per_day = key.jobs_per_day or self._settings.jobs_per_day
        if per_day and starts_job(method, path):
            used = await self._ring.count_job(key)
            allowances.append(day_allowance(used, per_day, now_s=time.time()))
            allowances[-1].require()
        return Principal.of(key)

    async def _caller(self, scope: Scope, headers: Headers) -> ApiKey:
        """The person whom a proxy names, or the key of a request, or that of its log-in. Raises
        Unauthorized, Forbidden."""
        person = person_of(scope, self._settings.trusted_proxy)
        if person is None and (token := token_in(headers)):
            return await self._ring.find(token)
        cookie = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        if person is None and not cookie:
            raise Unauthorized("an API key is required")
        # A browser sends a log-in, this one or the proxy's, with the requests of any page.
        if scope["method"] not in READ and CONSOLE_HEADER not in headers:
            raise Forbidden(f"a change that a log-in asks for needs the header {CONSOLE_HEADER}")
        return person or await self._ring.find_session(cookie)

    def _check_length(self, headers: Mapping[str, str], key_id: str) -> None:
        announced = headers.get("content-length", "")
        if not announced.isdecimal():
            return
        if int(announced) > self._max_body_bytes:
            raise too_large(self._max_body_bytes)
        self._quota.require(key_id, int(announced))

    def _bounded(self, receive: Receive, key_id: str) -> Receive:
        """Limits a body with a missing or wrong length."""
        received = 0

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            count = len(message.get("body", b""))
            self._quota.take(key_id, count)
            received += count
            if received > self._max_body_bytes:
                raise too_large(self._max_body_bytes)
            return message

        return bounded


def token_in(headers: Mapping[str, str]) -> str:
    """The key that a request was sent with; empty without one."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")


def _require_local(headers: Mapping[str, str]) -> None:
    """Refuses web pages that use a local service: by another name for its address (DNS rebinding),
    or by a form that is sent to it. Pages of other programs on this machine are others, too.
    """
    for name in ("host", "origin"):
        value = headers.get(name, "")
        if not value:
            continue
        try:
            host = urlsplit(value if "//" in value else f"//{value}").hostname
        except ValueError:
            host = None
        if host not in LOOPBACK_NAMES:
            raise Forbidden(f"the service is for this machine only, not for {name} {value[:100]}")
    origin = headers.get("origin", "")
    if origin and urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
        raise Forbidden(f"the service is for its own pages only, not for those of {origin[:100]}")
