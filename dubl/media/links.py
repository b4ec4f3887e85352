"""Videos behind an http(s) link: streamed into the spool within limits of size and time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpcore
import httpx

from dubl.errors import SourceForbidden, SourceNotFound, SourceUnreachable
from dubl.media.addresses import CheckedBackend, Countdown
from dubl.media.spool import Spool, too_large
from dubl.settings import MediaSettings
from dubl.types import VideoSource

_MAX_REDIRECTS = 5  # chosen
_CONNECT_TIMEOUT_S = 10.0  # seconds; chosen
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "dubl"}


def fetch_link(url: str, *, spool_dir: Path, settings: MediaSettings) -> VideoSource:
    """Downloads a video. Each redirect is checked like the link itself.

    The type and name that the server sends are ignored; only the bytes count. Raises
    SourceForbidden (scheme or host not allowed, credentials in the link, address not public),
    SourceNotFound (404, 410), SourceUnreachable, SourceTooLarge, StoreUnavailable.
    """
    spool = Spool(spool_dir, settings.max_size_bytes)
    countdown = Countdown(settings.link_timeout_s)
    backend = CheckedBackend(countdown, allow_private=settings.allow_private_addresses)
    target = _checked_url(url, settings)
    # Proxies and credentials of the environment are not used for untrusted links.
    with httpx.Client(transport=_Transport(backend), trust_env=False, headers=_HEADERS) as client:
        client.timeout = httpx.Timeout(settings.link_timeout_s, connect=_CONNECT_TIMEOUT_S)
        for _ in range(_MAX_REDIRECTS + 1):
            with _translated(), client.stream("GET", target) as response:
                if not response.has_redirect_location:
                    return _spooled(response, spool, url, settings.max_size_bytes)
                target = _checked_url(_joined(target, response), settings)
    raise SourceUnreachable(f"the link redirects more than {_MAX_REDIRECTS} times")


def _joined(target: httpx.URL, response: httpx.Response) -> str:
    try:
        return str(target.join(response.headers["Location"]))
    except (httpx.InvalidURL, ValueError) as exc:
        raise SourceUnreachable("the link redirects to an invalid address") from exc


def _checked_url(text: str, settings: MediaSettings) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError) as exc:
        raise SourceForbidden("the link is not a valid URL") from exc
    if url.scheme not in settings.link_schemes or not url.host:
        schemes = " and ".join(settings.link_schemes)
        raise SourceForbidden(f"the link must be a {schemes} link with a host")
    if not 0 < (url.port or 80) < 1 << 16:
        raise SourceForbidden("the link has an invalid port")
    if url.userinfo:
        raise SourceForbidden("the link contains credentials")
    if settings.link_hosts and not _is_listed(url.host, settings.link_hosts):
        raise SourceForbidden(
            f"the host {url.host} is not in media.link_hosts", context={"host": url.host}
        )
    return url


def _is_listed(host: str, listed: Sequence[str]) -> bool:
    """Whether the host is one of the names, or a subdomain of one that begins with a dot."""
    name = host.lower().rstrip(".")
    return any(
        name.endswith(entry.lower()) if entry.startswith(".") else name == entry.lower()
        for entry in listed
    )


def _spooled(response: httpx.Response, spool: Spool, name: str, limit_bytes: int) -> VideoSource:
    status = response.status_code
    if status in (httpx.codes.NOT_FOUND, httpx.codes.GONE):
        raise SourceNotFound(f"the link answered {status}", context={"status": status})
    if status != httpx.codes.OK:
        raise SourceUnreachable(f"the link answered {status}", context={"status": status})
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise SourceUnreachable("the link answered with a compressed body")
    announced = response.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced) > limit_bytes:
        raise too_large(limit_bytes)
    with spool.writer(name) as writer:
        for chunk in response.iter_raw():
            writer.write(chunk)
        return writer.commit()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (httpx.TimeoutException, httpcore.TimeoutException) as exc:
        raise SourceUnreachable("the link did not answer in time") from exc
    except (httpx.HTTPError, httpcore.NetworkError, httpcore.ProtocolError) as exc:
        raise SourceUnreachable(f"the link did not answer properly: {exc}") from exc


class _Transport(httpx.BaseTransport):
    """httpx over a pool with our own connections."""

    def __init__(self, backend: httpcore.NetworkBackend) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            max_connections=1,
            network_backend=backend,
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._pool.handle_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=request.url.raw_path,
                ),
                headers=request.headers.raw,
                extensions=request.extensions,
            )
        )
        return httpx.Response(
            status_code=response.status, headers=response.headers, stream=_Body(response)
        )

    def close(self) -> None:
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        yield from self._response.iter_stream()

    def close(self) -> None:
        self._response.close()
