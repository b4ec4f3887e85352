"""One attempt to deliver a webhook, under the address rules of links, and the time of the next."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from urllib.parse import urlsplit

import httpcore

from dubl.errors import SourceError
from dubl.media.addresses import CheckedBackend, Countdown

# Seconds after each attempt, as long as the day lasts.
_DELAYS_S = (5, 30, 120, 600, 1800, 3600, 7200, 14400, 21600)
_MAX_ERROR_CHARACTERS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer of an address; `status` 0: none; `error` empty: accepted."""

    status: int
    error: str


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    timeout_s: float,
    allow_private: bool,
) -> Answer:
    """Sends `body`. Redirects are not followed and count as failures, as all but 2xx."""
    if urlsplit(url).scheme not in ("http", "https"):
        return Answer(status=0, error="the address is neither http nor https")
    backend = CheckedBackend(Countdown(timeout_s), allow_private=allow_private)
    given = [*headers.items(), ("Content-Type", "application/json"), ("User-Agent", "dubl")]
    timeouts = dict.fromkeys(("connect", "read", "write", "pool"), timeout_s)
    try:
        with (
            httpcore.ConnectionPool(
                ssl_context=ssl.create_default_context(), network_backend=backend
            ) as pool,
            pool.stream(
                "POST", url, content=body, headers=given, extensions={"timeout": timeouts}
            ) as response,
        ):
            taken = 200 <= response.status < 300
            return Answer(
                status=response.status, error="" if taken else f"it answered {response.status}"
            )
    except SourceError as exc:
        return Answer(status=0, error=exc.detail)
    except (
        httpcore.TimeoutException,
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.UnsupportedProtocol,
        ValueError,
    ) as exc:
        reason = str(exc) or type(exc).__name__
        return Answer(status=0, error=reason[:_MAX_ERROR_CHARACTERS])


def next_delay_s(attempts: int, *, give_up_s: float) -> float | None:
    """Seconds until the next attempt; None if it is later than `give_up_s` after the first."""
    delays = [_delay_s(number) for number in range(attempts)]
    return delays[-1] if sum(delays) <= give_up_s else None


def max_attempts(*, give_up_s: float) -> int:
    """Attempts after which `next_delay_s` gives up."""
    return next(n for n in count(1) if next_delay_s(n, give_up_s=give_up_s) is None)


def _delay_s(number: int) -> float:
    return float(_DELAYS_S[min(number, len(_DELAYS_S) - 1)])
