"""Claims about the end of what the ledger stores, and about legal holds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dubl.errors import CheckNotFound, JobNotFound, NotFound, StateConflict
from dubl.ledger import retention
from dubl.ledger.clock import utc_now
from dubl.ledger.ledger import Claim, Ledger
from dubl.rights.terms import ANYWHERE
from dubl.settings import RetentionSettings
from dubl.types import (
    Check,
    Decision,
    Job,
    JobKind,
    JobState,
    Match,
    Outcome,
    QueueFilter,
    ReviewState,
    Verdict,
)

DAY_S = 86400.0
KEPT = RetentionSettings(checks_s=10 * DAY_S, jobs_s=10 * DAY_S, deliveries_s=10 * DAY_S)


@pytest.fixture
def ledger(place: str) -> Iterator[Ledger]:
    ledger = Ledger(place)
    yield ledger
    ledger.close()


def record(ledger: Ledger, name: str, *, age_s: float = 0.0) -> None:
    """A finished check with a match, a decision, a job and a delivered webhook."""
    job = Job(
        id=f"job of {name}",
        kind=JobKind.CHECK,
        state=JobState.QUEUED,
        subject_id=name,
        request={"link": f"https://example.org/{name}"},
        created_at=utc_now(plus_s=-age_s),
        callbacks=("https://example.org/hook",),
    )
    match = Match(
        reference_id="film",
        library="main",
        similarity=0.9,
        probability=0.9,
        segments=(),
        outcome=Outcome.DUPLICATE,
    )
    check = Check(
        id=name,
        query_name=f"{name}.mp4",
        query_sha256=f"bytes of {name}",
        libraries=(),
        created_at=utc_now(plus_s=-age_s),
        verdict=Verdict(
            outcome=Outcome.DUPLICATE,
            probability=0.9,
            matches=(match,),
            model_id="m",
            policy_version="1",
            index_version=1,
        ),
    )
    lease = ledger.jobs.create(job, tries=1, lease_s=60).lease
    ledger.record_check(check, lease=lease)
    ledger.reviews.record(name, "film", decision=Decision.REJECTED, reviewer="r", note="")
    (delivery,) = ledger.outbox.claim(limit=9, lease_s=60)
    ledger.outbox.delivered(delivery, status=200)
    with ledger._database.transaction("make it old") as connection:
        then = utc_now(plus_s=-age_s)
        connection.execute("UPDATE jobs SET finished_at = ? WHERE id = ?", [then, job.id])
        connection.execute("UPDATE deliveries SET created_at = ? WHERE job_id = ?", [then, job.id])


def traces(ledger: Ledger, name: str) -> int:
    """Number of cells, in all tables, that contain the name."""
    found = 0
    tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = ?"
    (schema,) = ledger._database.rows("SELECT current_schema()")
    for (table,) in ledger._database.rows(tables, schema):
        rows = ledger._database.rows(f"SELECT * FROM {table}")
        found += sum(name in str(cell) for row in rows for cell in row)
    return found


def test_what_is_older_than_its_time_leaves_no_trace_and_the_rest_stays(ledger: Ledger) -> None:
    record(ledger, "ancient", age_s=11 * DAY_S)
    record(ledger, "recent", age_s=9 * DAY_S)
    before = traces(ledger, "recent")
    assert traces(ledger, "ancient") == before
    assert ledger.retention.sweep(KEPT) == 3
    assert traces(ledger, "ancient") == 0
    assert traces(ledger, "recent") == before
    assert ledger.retention.sweep(KEPT) == 0


def test_more_rows_than_one_transaction_takes_go_too(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "ROWS_AT_ONCE", 2)
    for number in range(5):
        record(ledger, f"ancient {number}", age_s=11 * DAY_S)
    assert ledger.retention.sweep(KEPT) == 15
    assert traces(ledger, "ancient") == 0


def test_a_check_under_a_legal_hold_stays_until_its_release(ledger: Ledger) -> None:
    record(ledger, "sued", age_s=11 * DAY_S)
    held = ledger.retention.hold("sued", reason="case 7", by="key")
    assert ledger.retention.holds() == (held,)
    assert ledger.retention.sweep(KEPT) == 0
    with pytest.raises(StateConflict, match="legal hold"):
        ledger.retention.delete_check("sued")
    assert ledger.reviews.counts(QueueFilter()).states[ReviewState.REJECTED] == 1
    assert ledger.jobs.find("sued", kind=JobKind.CHECK).result_id == "sued"
    ledger.retention.release("sued")
    assert ledger.retention.sweep(KEPT) == 3
    with pytest.raises(NotFound):
        ledger.retention.release("sued")


def test_a_deleted_check_leaves_no_trace(ledger: Ledger) -> None:
    record(ledger, "deleted")
    record(ledger, "other")
    before = traces(ledger, "other")
    ledger.retention.delete_check("deleted")
    assert traces(ledger, "deleted") == 0
    assert traces(ledger, "other") == before
    for call in (ledger.get_check, ledger.retention.delete_check):
        with pytest.raises(CheckNotFound):
            call("deleted")
    with pytest.raises(CheckNotFound):
        ledger.retention.hold("deleted", reason="", by="")


def test_jobs_under_way_and_webhooks_to_be_sent_have_no_age(ledger: Ledger) -> None:
    for name, state in (("waits", JobState.QUEUED), ("told", JobState.QUEUED)):
        job = Job(
            id=name,
            kind=JobKind.CHECK,
            state=state,
            subject_id=name,
            request={},
            created_at="2020-01-01T00:00:00.000Z",
            callbacks=("https://example.org/hook",),
        )
        ledger.jobs.create(job, tries=1)
    ledger.jobs.cancel("told")
    with ledger._database.transaction("make it old") as connection:
        connection.execute("UPDATE deliveries SET created_at = '2020-01-01T00:00:00.000Z'")
        connection.execute("UPDATE jobs SET finished_at = '2020' WHERE id = 'told'")
    assert ledger.retention.sweep(KEPT) == 0
    assert ledger.jobs.get("waits").state is JobState.QUEUED


def test_an_id_is_free_when_its_job_and_check_were_deleted(ledger: Ledger) -> None:
    record(ledger, "again")
    claim = Claim(
        check_id="again",
        job_id="job of again",
        query_sha256="bytes of again",
        libraries=frozenset(),
        context=ANYWHERE,
    )
    ledger.prior_decisions("bytes of again", claim=claim)
    ledger.retention.delete_check("again")
    with pytest.raises(JobNotFound):
        ledger.jobs.get("job of again")
    other = Claim(
        check_id="again",
        job_id="another",
        query_sha256="other bytes",
        libraries=frozenset(),
        context=ANYWHERE,
    )
    ledger.prior_decisions("other bytes", claim=other)
