"""Connections that only reach addresses which were checked.

A host is resolved once for each connection, every address it has is checked, and the connection
goes to a checked address: a name that resolves differently a moment later changes nothing.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
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


def resolve(host: str, port: int, *, allow_private: bool) -> list[str]:
    """IP addresses of a host. Raises SourceForbidden when any of them is not public (loopback,
    private, link-local, cloud metadata, multicast …), SourceUnreachable for unknown names."""
    addresses = _look_up(host, port)
    if not allow_private and not all(is_public(address) for address in addresses):
        raise SourceForbidden(
            f"the host {host} has an address that is not public", context={"host": host}
        )
    return addresses


def _look_up(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        raise SourceUnreachable(f"the host name {host} cannot be resolved") from exc
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the open internet."""
    parsed = _embedded(ipaddress.ip_address(address.partition("%")[0]))
    return parsed.is_global and not parsed.is_multicast


def _embedded(address: _Address) -> _Address:
    """The IPv4 address inside an IPv6 one that leads there."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


class Countdown:
    """What is left of the time for a whole download."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._expires_at = time.monotonic() + limit_s

    def left_s(self, wanted_s: float | None = None) -> float:
        """Seconds left, at most `wanted_s`. Raises SourceUnreachable when there are none."""
        left = self._expires_at - time.monotonic()
        if left <= 0:
            raise SourceUnreachable(
                f"the download took longer than {self.limit_s:g} s",
                context={"limit_s": self.limit_s},
            )
        return left if wanted_s is None else min(left, wanted_s)


class CheckedBackend(httpcore.NetworkBackend):
    """Opens connections to checked addresses; nothing takes longer than the countdown."""

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
        """Tries the host's addresses in turn; raises the last failure."""
        failure: Exception = SourceUnreachable(f"the host name {host} has no address")
        for address in resolve(host, port, allow_private=self._allow_private):
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
