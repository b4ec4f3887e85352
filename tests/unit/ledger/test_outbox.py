"""Claims about webhooks in the ledger."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dubl.errors import NotFound
from dubl.ledger.ledger import Ledger
from dubl.types import Delivery, DeliveryState, Job, JobKind, JobState


@pytest.fixture
def ledger(place: str) -> Iterator[Ledger]:
    """A job has ended, and two addresses are to be told."""
    opened = Ledger(place)
    job = Job(
        id="j",
        kind=JobKind.CHECK,
        state=JobState.QUEUED,
        subject_id="s",
        request={},
        created_at="2026-01-01T00:00:00.000Z",
        callbacks=("https://a", "https://b"),
    )
    running = opened.jobs.create(job, tries=1, lease_s=60)
    assert opened.outbox.list().items == ()
    opened.jobs.finish(running.lease, result_id="s", created=True)
    yield opened
    opened.close()


def claim(ledger: Ledger, *, lease_s: float = 60) -> list[Delivery]:
    return sorted(ledger.outbox.claim(limit=9, lease_s=lease_s), key=lambda item: item.url)


def test_each_address_is_told_once(ledger: Ledger) -> None:
    first, second = claim(ledger)
    assert (first.url, second.url, first.attempts) == ("https://a", "https://b", 1)
    assert claim(ledger) == []
    ledger.outbox.delivered(first, status=204)
    kept = {item.url: item for item in ledger.outbox.list(state=DeliveryState.DELIVERED).items}
    assert kept["https://a"].status == 204
    assert kept["https://a"].delivered_at


def test_a_failed_attempt_is_made_again_and_the_last_is_told(ledger: Ledger) -> None:
    first, second = claim(ledger)
    ledger.outbox.failed(first, status=500, error="answered 500", retry_in_s=-1)
    ledger.outbox.failed(second, status=0, error="no answer", retry_in_s=None)
    (again,) = claim(ledger)
    assert (again.id, again.attempts, again.error) == (first.id, 2, "answered 500")
    (given_up,) = ledger.outbox.list(state=DeliveryState.FAILED).items
    assert (given_up.url, given_up.error) == ("https://b", "no answer")


def test_the_delivery_of_a_killed_sender_is_made_by_the_next(ledger: Ledger) -> None:
    lost = claim(ledger, lease_s=-1)
    again = claim(ledger)
    assert [item.id for item in again] == [item.id for item in lost]
    # The first sender was not dead but slow: it is too late to say anything.
    ledger.outbox.failed(lost[0], status=500, error="late", retry_in_s=None)
    ledger.outbox.delivered(again[0], status=200)
    assert ledger.outbox.list(state=DeliveryState.FAILED).items == ()


def test_a_delivery_can_be_replayed_under_its_id(ledger: Ledger) -> None:
    first, _ = claim(ledger)
    ledger.outbox.delivered(first, status=200)
    ledger.outbox.replay(first.id)
    (again,) = claim(ledger)
    assert (again.id, again.attempts) == (first.id, 1)
    with pytest.raises(NotFound):
        ledger.outbox.replay("absent")


def test_receivers_take_turns_and_none_has_all_places(place: str) -> None:
    opened = Ledger(place)
    slow = [f"https://user:pass@SLOW.example:{8000 + number}/x@y" for number in range(6)]
    urls = (*slow, "http://good.example/", "http://[::1]:80/a", "http://[::1]/b")
    job = Job(
        id="j",
        kind=JobKind.CHECK,
        state=JobState.QUEUED,
        subject_id="s",
        request={},
        created_at="2026-01-01T00:00:00.000Z",
        callbacks=urls,
    )
    running = opened.jobs.create(job, tries=1, lease_s=60)
    opened.jobs.finish(running.lease, result_id="s", created=True)

    def claimed(limit: int, under_way: list[str], most: int) -> list[str]:
        found = opened.outbox.claim(
            limit=limit, lease_s=60, under_way=under_way, at_once_to_one=most
        )
        return sorted(one.url for one in found)

    first = claimed(3, [], 2)
    assert [sum(part in url for url in first) for part in ("SLOW", "good", "::1")] == [1, 1, 1]
    second = claimed(9, ["http://slow.example/other"], 2)
    assert sum("SLOW" in url for url in second) == 1
    assert claimed(9, ["http://slow.example", *slow[:1]], 2) == []
    assert len(claimed(9, [], 9)) == 4
    opened.close()


def test_a_delivery_whose_senders_die_is_given_up(ledger: Ledger) -> None:
    """Each attempt counts when it is handed out, also the one that kills its process."""
    for attempts in (1, 2, 3):
        first, second = ledger.outbox.claim(limit=9, lease_s=-1, max_attempts=3)
        assert (first.attempts, second.attempts) == (attempts, attempts)
    assert ledger.outbox.claim(limit=9, lease_s=60, max_attempts=3) == ()
    given_up = ledger.outbox.list(state=DeliveryState.FAILED).items
    assert [item.error for item in given_up] == ["the service ended during the last attempt"] * 2
    ledger.outbox.replay(given_up[0].id)
    (again,) = ledger.outbox.claim(limit=9, lease_s=60, max_attempts=3)
    assert again.id == given_up[0].id
