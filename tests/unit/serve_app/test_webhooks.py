"""Claims about who waits for whom when webhooks are sent."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dubl.engine.ledger import LedgerClient
from dubl.settings import load_settings
from dubl.types import Delivery, DeliveryState, Job, JobKind, JobState
from dubl.webhooks.sending import Answer
from serve_app import webhooks
from serve_app.webhooks import WebhookSender
from tests.support.local_ledger import LocalLedger

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TAKEN = Answer(status=204, error="")
Post = Callable[..., Answer]


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalLedger]:
    made = LocalLedger(tmp_path / "ledger.duckdb")
    yield made
    made.ledger.close()


def ended_job(local: LocalLedger, *urls: str) -> None:
    job = Job(
        id="j",
        kind=JobKind.CHECK,
        state=JobState.QUEUED,
        subject_id="s",
        request={},
        created_at="2026-01-01T00:00:00.000Z",
        callbacks=urls,
    )
    running = local.ledger.jobs.create(job, tries=1, lease_s=600)
    local.ledger.jobs.fail(running.lease, code="not_a_video", detail="")


async def sent_until(local: LocalLedger, url: str, state: DeliveryState) -> Delivery:
    """The delivery to an address, once the sender has brought it to a state."""
    environment = {"DUBL__WEBHOOKS__SECRET": SECRET}
    settings = load_settings(environment=environment)
    sender = WebhookSender(LedgerClient(local), settings)
    sender.start()
    async with asyncio.timeout(30):
        while True:
            found = local.ledger.outbox.list(state=state).items
            if done := [one for one in found if one.url == url]:
                return done[0]
            await asyncio.sleep(0.02)


def test_nobody_waits_for_a_receiver_that_never_answers(
    local: LocalLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = threading.Event()

    def post(url: str, *_: object, **__: object) -> Answer:
        if "slow" in url:
            assert let_go.wait(60)
        return TAKEN

    monkeypatch.setattr(webhooks, "post", post)
    slow = [f"https://slow.example/{number}" for number in range(40)]
    ended_job(local, *slow, "https://good.example/")
    try:
        asyncio.run(sent_until(local, "https://good.example/", DeliveryState.DELIVERED))
        assert local.ledger.outbox.list(state=DeliveryState.DELIVERED).items[1:] == ()
    finally:
        let_go.set()


def test_what_goes_wrong_in_an_attempt_ends_it_and_the_last_one_is_told(
    local: LocalLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def post(*_: object, **__: object) -> Answer:
        raise UnicodeError("label too long")

    monkeypatch.setattr(webhooks, "post", post)
    monkeypatch.setattr(webhooks, "next_delay_s", lambda *_, **__: None)
    ended_job(local, "https://odd.example/")
    given_up = asyncio.run(sent_until(local, "https://odd.example/", DeliveryState.FAILED))
    assert (given_up.attempts, "UnicodeError" in given_up.error) == (1, True)
