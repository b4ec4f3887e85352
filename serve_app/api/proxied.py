"""People whom a proxy has signed in (oauth2-proxy and the like): its headers name them and their
groups."""

from __future__ import annotations

import ipaddress
import re

from starlette.datastructures import Headers
from starlette.types import Scope

from dubl.errors import Forbidden, Unauthorized
from dubl.settings import ProxySettings
from dubl.types import ApiKey

PERSON = "person:"  # begins the key id of a person; ids of keys have no colon


def person_of(scope: Scope, settings: ProxySettings) -> ApiKey | None:
    """The person that a request comes from, as a key with the scopes of the person's groups.

    None: the request is from none of `settings.peers`, or the proxy has signed nobody in. Raises
    Unauthorized for a header that came twice, Forbidden for a person without a known group.
    """
    headers = Headers(scope=scope)
    if not _is_peer(scope, settings, headers):
        return None
    name = _only(headers, settings.name_header)
    if not name:
        return None
    groups = {one.strip() for one in _only(headers, settings.groups_header).split(",")}
    scopes = {scope for group in groups for scope in settings.groups.get(group, ())}
    if not scopes:
        raise Forbidden(f"{name} is in no group of access.trusted_proxy.groups")
    return ApiKey(
        id=f"{PERSON}{name}", name=name, secret_sha256="", scopes=tuple(scopes), created_at=""
    )


def _is_peer(scope: Scope, settings: ProxySettings, headers: Headers) -> bool:
    """Whether the connection itself comes from a trusted address.

    uvicorn may have replaced the address by one that the request names in X-Forwarded-For; such an
    address proves nothing.
    """
    if not settings.peers or not scope.get("client"):
        return False
    told = re.split(r"[\s,\[\]]+", ",".join(headers.getlist("x-forwarded-for")))
    host = scope["client"][0]
    if host in told or host in {one.rpartition(":")[0] for one in told}:
        return False
    try:
        peer = ipaddress.ip_address(host)
    except ValueError:
        return False
    peer = getattr(peer, "ipv4_mapped", None) or peer
    return any(peer in network for network in settings.peers)


def _only(headers: Headers, name: str) -> str:
    """A header's value. Of two, the first may be the browser's own."""
    values = headers.getlist(name)
    if len(values) > 1:
        raise Unauthorized(f"the header {name} came {len(values)} times")
    return values[0].strip() if values else ""
