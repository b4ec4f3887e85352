"""Connections to checked addresses only.

A host is resolved once for each connection. All its addresses are checked, and the connection goes
to one of them. So a name that resolves differently a moment later changes nothing. Hosts in unusual
notation (2130706433, 0177.1, 0x7f.1) are resolved first and checked like any other.
"""

from __future__ import annotations

import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from typing import Self

import httpcore

from dubl.errors import SourceForbidden, SourceUnreachable

_SocketOption = (
    tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
)
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_GLOBAL_IPV6 = ipaddress.IPv6Network("2000::/3")
# Addresses within the public range that clouds answer on for the machine itself, and those of
# protocols (RFC 6890, RFC 7526): Python's versions disagree about them.
_SPECIAL_IPV4 = tuple(
    ipaddress.IPv4Network(network)
    for network in ("168.63.129.16/32", "192.0.0.0/24", "192.88.99.0/24")
)
# Addresses that give out credentials of the machine. They are never allowed.
_METADATA = tuple(map(ipaddress.ip_address, ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200")))
_PRIVATE = tuple(
    ipaddress.ip_network(network)
    for network in (
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "::1/128",
        "fc00::/7",
    )
)


def resolve(host: str, port: int, *, allow_private: bool, limit_s: float) -> list[str]:
    """All IP addresses of a host.

    Raises SourceForbidden if any of them is not public (or private, with `allow_private`), and
    SourceUnreachable if the name is unknown or is not resolved within `limit_s` seconds.
    """
    addresses = _timely_look_up(host, port, limit_s)
    for address in addresses:
        if not is_public(address) and not (allow_private and is_private_network(address)):
            raise SourceForbidden(
                f"the host {host} has an address that is not public", context={"host": host}
            )
    return addresses


def _timely_look_up(host: str, port: int, limit_s: float) -> list[str]:
    """Runs the system's resolver, which has no time limit, in a thread of its own."""
    answers: queue.SimpleQueue[list[str] | SourceUnreachable] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            answers.put(_look_up(host, port))
        except SourceUnreachable as exc:
            answers.put(exc)

    threading.Thread(target=look_up, name="resolver", daemon=True).start()
    try:
        answer = answers.get(timeout=limit_s)
    except queue.Empty as exc:
        raise SourceUnreachable(f"the host name {host} was not resolved in time") from exc
    if isinstance(answer, SourceUnreachable):
        raise answer
    return answer


def _look_up(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        raise SourceUnreachable(f"the host name {host} cannot be resolved") from exc
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet."""
    parsed = _parsed(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return parsed in _GLOBAL_IPV6 and parsed.is_global
    special = any(parsed in network for network in _SPECIAL_IPV4)
    return parsed.is_global and not parsed.is_multicast and not special


def is_private_network(address: str) -> bool:
    """Whether an IP address is local or private (RFC 1918, RFC 4193, RFC 6598), but not one that
    gives out cloud credentials."""
    parsed = _parsed(address)
    return parsed not in _METADATA and any(parsed in network for network in _PRIVATE)


def _parsed(address: str) -> _Address:
    """The address, or the IPv4 address that an IPv6 address leads to."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv4Address):
        return parsed
    if parsed in _NAT64:
        return ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
    return parsed.ipv4_mapped or parsed.sixtofour or parsed


class Countdown:
    """The time left for a whole download."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._expires_at = time.monotonic() + limit_s

    def left_s(self, wanted_s: float | None = None) -> float:
        """Seconds left, at most `wanted_s`. Raises SourceUnreachable when the time is over."""
        left = self._expires_at - time.monotonic()
        if left <= 0:
            raise SourceUnreachable(
                f"the download took longer than media.link_timeout_s ({self.limit_s:g} s)",
                context={"limit_s": self.limit_s},
            )
        return left if wanted_s is None else min(left, wanted_s)


class CheckedBackend(httpcore.NetworkBackend):
    """Opens connections to checked addresses, within the countdown."""

    def __init__(self, countdown: Countdown, *, allow_private: bool) -> None:
        self._countdown = countdown
        self._allow_private = allow_private
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[_SocketOption] | None = None,
    ) -> httpcore.NetworkStream:
        """Tries the host's addresses one after the other; raises the last failure."""
        failure: Exception = SourceUnreachable(f"the host name {host} has no address")
        checked = resolve(
            host, port, allow_private=self._allow_private, limit_s=self._countdown.left_s(timeout)
        )
        for address in checked:
            try:
                stream = self._backend.connect_tcp(
                    address, port, self._countdown.left_s(timeout), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as exc:
                failure = exc
            else:
                return _TimedStream(stream, self._countdown)
        raise failure


class _TimedStream(httpcore.NetworkStream):
    """A connection each of whose operations ends with the countdown."""

    def __init__(self, stream: httpcore.NetworkStream, countdown: Countdown) -> None:
        self._stream = stream
        self._countdown = countdown

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._countdown.left_s(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._countdown.left_s(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> Self:
        limit_s = self._countdown.left_s(timeout)
        stream = self._stream.start_tls(ssl_context, server_hostname, limit_s)
        return type(self)(stream, self._countdown)

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)
