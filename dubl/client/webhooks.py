"""Reading webhooks: is it the service that called, and what does it say?"""

from __future__ import annotations

from collections.abc import Mapping

from dubl.contract.bodies import WebhookEvent
from dubl.webhooks.signing import signing_key, verify


def read_webhook(body: bytes, headers: Mapping[str, str], *, secret: str) -> WebhookEvent:
    """What has ended. `secret` begins with `whsec_`; `headers` may have any case.

    Raises dubl.errors.InvalidRequest unless it was signed with the secret and sent just now.
    """
    verify(body, {name.lower(): value for name, value in headers.items()}, key=signing_key(secret))
    return WebhookEvent.model_validate_json(body)
