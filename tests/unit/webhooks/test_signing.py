"""Claims about signatures of webhooks."""

from __future__ import annotations

import time

import pytest

from dubl.errors import ConfigurationError, InvalidRequest
from dubl.webhooks.signing import signed_headers, signing_key, verify

# The example of the Standard Webhooks specification.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'
MESSAGE_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP = 1614265330
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_signature_is_that_of_the_specification() -> None:
    headers = signed_headers(
        BODY, message_id=MESSAGE_ID, key=signing_key(SECRET), timestamp=TIMESTAMP
    )
    assert headers == {
        "webhook-id": MESSAGE_ID,
        "webhook-timestamp": str(TIMESTAMP),
        "webhook-signature": SIGNATURE,
    }


def test_a_fresh_webhook_is_verified_also_among_other_signatures() -> None:
    key = signing_key(SECRET)
    headers = signed_headers(BODY, message_id=MESSAGE_ID, key=key)
    verify(BODY, headers, key=key)
    several = {**headers, "webhook-signature": f"v1,b2xk {headers['webhook-signature']} v2,x"}
    verify(BODY, several, key=key)


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "msg_other"},
        {"webhook-timestamp": str(int(time.time()) - 1)},
        {"webhook-timestamp": "soon"},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,AAAA"},
    ],
    ids=["id", "another second", "no number", "no signature", "wrong signature"],
)
def test_a_webhook_that_was_changed_is_refused(change: dict[str, str]) -> None:
    key = signing_key(SECRET)
    headers = signed_headers(BODY, message_id=MESSAGE_ID, key=key)
    with pytest.raises(InvalidRequest):
        verify(BODY, {**headers, **change}, key=key)
    with pytest.raises(InvalidRequest):
        verify(BODY + b" ", headers, key=key)
    with pytest.raises(InvalidRequest):
        verify(BODY, headers, key=bytes(32))


def test_an_old_webhook_is_refused_though_its_signature_is_right() -> None:
    key = signing_key(SECRET)
    old = signed_headers(BODY, message_id=MESSAGE_ID, key=key, timestamp=int(time.time()) - 3600)
    with pytest.raises(InvalidRequest, match="time"):
        verify(BODY, old, key=key)


@pytest.mark.parametrize(
    "secret", ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_short", "whsec_$$$", "whsec_AAAA"]
)
def test_a_weak_or_malformed_secret_refuses_to_start(secret: str) -> None:
    with pytest.raises(ConfigurationError, match="whsec_"):
        signing_key(secret)
