"""Reading of webhooks, with verification of their signature."""

from __future__ import annotations

from collections.abc import Mapping

from dubl.contract.bodies import WebhookEvent
from dubl.webhooks.signing import signing_key, verify


def read_webhook(body: bytes, headers: Mapping[str, str], *, secret: str) -> WebhookEvent:
    """The event of a webhook. `secret` begins with `whsec_`; `headers` may have any case.

    Raises dubl.errors.InvalidRequest unless it was signed with the secret and sent recently.
    """
    verify(body, {name.lower(): value for name, value in headers.items()}, key=signing_key(secret))
    return WebhookEvent.model_validate_json(body)
