"""Reading webhooks: is it the service that called, and what does it say?"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from dubl.client.models import Check, Job, WebhookEvent
from dubl.webhooks.signing import signing_key, verify


class _Data(BaseModel):
    model_config = ConfigDict(extra="ignore")

    job: Job
    check: Check | None = None


class _Message(BaseModel):
    model_config = ConfigDict(extra="ignore")

    type: str
    timestamp: str
    data: _Data


def read_webhook(body: bytes, headers: Mapping[str, str], *, secret: str) -> WebhookEvent:
    """What has ended. `secret` begins with `whsec_`; `headers` may have any case.

    Raises dubl.errors.InvalidRequest unless it was signed with the secret and sent just now.
    """
    verify(body, {name.lower(): value for name, value in headers.items()}, key=signing_key(secret))
    message = _Message.model_validate_json(body)
    return WebhookEvent(
        type=message.type,
        timestamp=message.timestamp,
        job=message.data.job,
        check=message.data.check,
    )
