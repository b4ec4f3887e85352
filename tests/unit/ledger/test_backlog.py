"""Claims about the size of accepted work."""

from __future__ import annotations

from contextlib import closing

import pytest

from dubl.ledger.clock import utc_now
from dubl.ledger.ledger import Ledger
from dubl.types import Job, JobKind, JobState


def _job(name: str, *, age_s: float = 0.0) -> Job:
    return Job(
        id=name,
        kind=JobKind.CHECK,
        state=JobState.QUEUED,
        subject_id=name,
        request={},
        created_at=utc_now(plus_s=-age_s),
        callbacks=("https://a",),
    )


def test_the_backlog_counts_what_has_not_ended_and_the_longest_wait(place: str) -> None:
    with closing(Ledger(place)) as ledger:
        assert ledger.backlog().oldest_due_s == 0
        ledger.jobs.create(_job("old", age_s=90), tries=1)
        ledger.jobs.create(_job("new"), tries=1)
        done = ledger.jobs.create(_job("done"), tries=1, lease_s=60)
        ledger.jobs.finish(done.lease, result_id="x", created=True)
        dead = ledger.jobs.create(_job("dead"), tries=1, lease_s=60)
        ledger.jobs.retry(dead.lease, code="overloaded", detail="", delay_s=0)
        ledger.jobs.create(_job("running"), tries=1, lease_s=60)
        backlog = ledger.backlog()
    assert (backlog.queued, backlog.running, backlog.dead) == (2, 1, 1)
    assert backlog.deliveries == 2
    assert backlog.oldest_due_s == pytest.approx(90, abs=5)
