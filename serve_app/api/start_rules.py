"""Rules about keys that are checked at the start of the service."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from dubl.errors import ConfigurationError
from dubl.settings import AccessSettings
from dubl.types import ApiKey, Scope


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def keys_required(settings: AccessSettings, host: str) -> bool:
    """Whether requests need a key on this address."""
    return settings.keys == "required" or (settings.keys == "auto" and not is_loopback(host))


def require_admin_key(keys: Sequence[ApiKey], host: str) -> None:
    """Raises ConfigurationError if nobody could use the service, or create keys."""
    if not any(Scope.ADMIN in key.scopes and not key.revoked_at for key in keys):
        raise ConfigurationError(
            f"requests to {host} need API keys and there is none with the scope admin: make one "
            "with `dubl keys create NAME --scope admin --data FOLDER`, or let everybody in with "
            "access.keys=off"
        )
