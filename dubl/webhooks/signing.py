"""Signatures of webhooks by https://www.standardwebhooks.com.

HMAC-SHA256 over "id.timestamp.body", in base64, after a version.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Mapping

from dubl.errors import ConfigurationError, InvalidRequest

SECRET_PREFIX = "whsec_"
VERSION = "v1"
MIN_SECRET_BYTES = 24
TOLERANCE_S = 300.0


def signing_key(secret: str) -> bytes:
    """The key from `whsec_` and base64 of at least 24 bytes. Raises ConfigurationError."""
    encoded = secret.removeprefix(SECRET_PREFIX)
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if encoded == secret or len(key) < MIN_SECRET_BYTES:
        raise ConfigurationError(
            f"the webhook secret must be {SECRET_PREFIX} and base64 of at least "
            f"{MIN_SECRET_BYTES} bytes"
        )
    return key


def signed_headers(
    body: bytes, *, message_id: str, key: bytes, timestamp: int | None = None
) -> dict[str, str]:
    """Headers of one attempt, with the current time by default."""
    sent_at = int(time.time()) if timestamp is None else timestamp
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(sent_at),
        "webhook-signature": f"{VERSION},{_signature(body, message_id, sent_at, key)}",
    }


def verify(body: bytes, headers: Mapping[str, str], *, key: bytes) -> None:
    """For receivers: raises InvalidRequest unless the body is signed with the key and recent.

    `headers` have lower-case names; `webhook-signature` may hold several, separated by spaces.
    """
    message_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not timestamp.isdecimal() or abs(time.time() - int(timestamp)) > TOLERANCE_S:
        raise InvalidRequest("the webhook's timestamp is missing, too old or in the future")
    wanted = f"{VERSION},{_signature(body, message_id, int(timestamp), key)}"
    given = headers.get("webhook-signature", "").split()
    if not any(hmac.compare_digest(wanted, signature) for signature in given):
        raise InvalidRequest("the webhook's signature does not match this key")


def _signature(body: bytes, message_id: str, timestamp: int, key: bytes) -> str:
    content = f"{message_id}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
