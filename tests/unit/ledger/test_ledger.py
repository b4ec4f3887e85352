"""Claims about jobs, verdicts and failures in the ledger."""

from __future__ import annotations

import base64
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import duckdb
import psycopg
import pytest

from dubl.errors import (
    CheckNotFound,
    InvalidRequest,
    JobNotFound,
    LeaseLost,
    StateConflict,
    StoreHeld,
    StoreTooNew,
    StoreUnavailable,
)
from dubl.ledger import database, duckdb_file
from dubl.ledger.ledger import Ledger, claim_of
from dubl.ledger.schema import SCHEMA_VERSION, UPGRADES, Upgrade
from dubl.rights.terms import CheckContext
from dubl.types import (
    Check,
    Job,
    JobKind,
    JobState,
    Lease,
    Match,
    Outcome,
    Segment,
    Verdict,
)

SEGMENT = Segment(
    query_start_s=1 / 3,
    query_end_s=10.0,
    reference_start_s=0.1 + 0.2,
    reference_end_s=1e-9,
    similarity=0.7,
    reversed=True,
)
VERDICT = Verdict(
    outcome=Outcome.REVIEW,
    probability=0.1 + 0.2,
    matches=(
        Match(
            reference_id="it's «дубль» 影片",
            library="main",
            similarity=2 / 3,
            probability=0.3,
            segments=(SEGMENT, replace(SEGMENT, reversed=False)),
        ),
        Match(reference_id="b", library="main", similarity=0.0, probability=0.0, segments=()),
    ),
    model_id="model",
    policy_version="1",
    index_version=2**40,
    timings_ms={"decode": 1.5, "total": 1 / 7},
)


def job(job_id: str, **changes: object) -> Job:
    made = Job(
        id=job_id,
        kind=JobKind.CHECK,
        state=JobState.QUEUED,
        subject_id=f"subject of {job_id}",
        request={
            "link": "https://пример/'видео'.mp4",
            "libraries": ["main"],
            "nested": {"a": None},
        },
        created_at="2026-01-01T00:00:00.000Z",
    )
    return replace(made, **changes)


def check(check_id: str, *, verdict: Verdict = VERDICT, second: int = 0) -> Check:
    return Check(
        id=check_id,
        query_name="видео's.mp4",
        query_sha256="0" * 64,
        libraries=("main", "l'autre"),
        created_at=f"2026-01-01T00:00:{second:02d}.000Z",
        verdict=verdict,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "ledger.duckdb"


@pytest.fixture
def ledger(place: str) -> Iterator[Ledger]:
    opened = Ledger(place)
    yield opened
    opened.close()


def ask(place: str, statement: str) -> list[tuple[object, ...]]:
    """Asks the database itself."""
    if place.startswith("postgresql"):
        with psycopg.connect(place) as server:
            cursor = server.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []
    with duckdb.connect(place) as connection:
        return connection.execute(statement).fetchall()


TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"


def test_a_verdict_reads_back_equal(ledger: Ledger) -> None:
    unique = replace(VERDICT, outcome=Outcome.UNIQUE, matches=(), timings_ms={})
    for given in (check("it's"), check("b", verdict=unique), replace(check("c"), libraries=())):
        ledger.record_check(given)
        assert ledger.get_check(given.id) == given


def test_a_check_has_one_verdict(ledger: Ledger) -> None:
    ledger.record_check(check("a"))
    ledger.record_check(check("a", verdict=replace(VERDICT, outcome=Outcome.DUPLICATE)))
    assert ledger.get_check("a") == check("a")
    assert ledger.list_checks().items == (check("a"),)


@pytest.mark.parametrize(
    "other",
    [
        {"query_sha256": "other"},
        {"libraries": ("private",)},
        {"verdict": replace(check("c").verdict, context=CheckContext(territory="DE"))},
        {"verdict": replace(check("c").verdict, context=CheckContext(time="2030"))},
    ],
)
def test_an_id_is_of_one_question(ledger: Ledger, other: dict[str, object]) -> None:
    first = check("c")
    taken = replace(first, **other)
    running = ledger.jobs.create(job("first"), tries=1, lease_s=60.0)
    ledger.prior_decisions(first.query_sha256, claim=claim_of(first, job_id="first"))
    ledger.prior_decisions(first.query_sha256, claim=claim_of(first, job_id="the same, sent again"))
    with pytest.raises(StateConflict, match="another check"):
        ledger.prior_decisions(taken.query_sha256, claim=claim_of(taken, job_id="second"))
    ledger.record_check(first, lease=running.lease)
    with pytest.raises(StateConflict, match="another check"):
        ledger.prior_decisions(taken.query_sha256, claim=claim_of(taken, job_id="second"))
    second = ledger.jobs.create(job("second"), tries=1, lease_s=60.0)
    with pytest.raises(StateConflict, match="another check"):
        ledger.record_check(taken, lease=second.lease)
    assert ledger.get_check("c") == first
    assert ledger.jobs.get("second").state is JobState.RUNNING


def test_a_question_without_a_time_is_the_same_at_any_time(ledger: Ledger) -> None:
    def asked_at(created_at: str) -> Check:
        one = check("c")
        verdict = replace(one.verdict, context=CheckContext(time=created_at))
        return replace(one, created_at=created_at, verdict=verdict)

    first = asked_at("2026-01-01T00:00:00.000Z")
    ledger.record_check(first)
    assert ledger.record_check(asked_at("2026-01-02T00:00:00.000Z")) == first


def test_a_link_may_give_another_file_to_the_next_attempt(ledger: Ledger) -> None:
    ledger.jobs.create(job("first"), tries=2, lease_s=60.0)
    claim = claim_of(check("c"), job_id="first")
    for sha256 in ("before", "after"):
        ledger.prior_decisions(sha256, claim=replace(claim, query_sha256=sha256))


def test_an_id_whose_check_failed_is_free_again(ledger: Ledger) -> None:
    running = ledger.jobs.create(job("first"), tries=1, lease_s=60.0)
    ledger.prior_decisions(
        "cut off", claim=replace(claim_of(check("c"), job_id="first"), query_sha256="x")
    )
    ledger.jobs.fail(running.lease, code="truncated_video", detail="")
    ledger.prior_decisions("whole", claim=claim_of(check("c"), job_id="second"))


def test_a_verdict_finishes_its_job(ledger: Ledger) -> None:
    started = ledger.jobs.create(job("j"), tries=1, lease_s=60)
    ledger.record_check(check("a"), lease=started.lease)
    done = ledger.jobs.get("j")
    assert (done.state, done.result_id) == (JobState.DONE, "a")
    assert ledger.backlog().running == 0


def test_a_verdict_recorded_again_because_its_answer_was_lost_changes_nothing(
    ledger: Ledger,
) -> None:
    started = ledger.jobs.create(job("j"), tries=1, lease_s=60)
    assert ledger.record_check(check("a"), lease=started.lease) is None
    assert ledger.record_check(check("a"), lease=started.lease) == check("a")
    assert len(ledger.list_checks().items) == 1


def test_a_verdict_of_a_cancelled_job_is_not_kept(ledger: Ledger) -> None:
    started = ledger.jobs.create(job("j"), tries=1, lease_s=60)
    ledger.jobs.cancel("j")
    with pytest.raises(LeaseLost):
        ledger.record_check(check("a"), lease=started.lease)
    with pytest.raises(CheckNotFound):
        ledger.get_check("a")


def test_a_verdict_without_its_job_is_not_kept(ledger: Ledger) -> None:
    with pytest.raises(JobNotFound, match="absent"):
        ledger.record_check(check("a"), lease=Lease(job_id="absent", attempt=1))
    with pytest.raises(CheckNotFound):
        ledger.get_check("a")


def test_what_is_absent_is_said_to_be(ledger: Ledger) -> None:
    with pytest.raises(CheckNotFound):
        ledger.get_check("absent")
    halves, deep = '["\\ud800", "x"]', "[" * 100_000
    for text in (
        "zzz",
        *(base64.urlsafe_b64encode(one.encode()).decode() for one in (halves, deep)),
    ):
        with pytest.raises(InvalidRequest, match="cursor"):
            ledger.list_checks(cursor=text)


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
def test_pages_walk_all_rows_exactly_once_newest_first(ledger: Ledger, limit: int) -> None:
    for number in range(7):
        ledger.record_check(check(f"{number}", second=number // 3))
    walked: list[str] = []
    cursor = ""
    while True:
        page = ledger.list_checks(limit=limit, cursor=cursor)
        walked += [found.id for found in page.items]
        cursor = page.next_cursor
        if not cursor:
            break
    assert walked == ["6", "5", "4", "3", "2", "1", "0"]


def test_listings_filter(ledger: Ledger) -> None:
    ledger.record_check(check("a"))
    ledger.record_check(
        check("b", verdict=replace(VERDICT, outcome=Outcome.UNIQUE, matches=VERDICT.matches[1:]))
    )
    listed = {
        "review": ledger.list_checks(outcome=Outcome.REVIEW),
        "reference": ledger.list_checks(reference_id="it's «дубль» 影片"),
        "both": ledger.list_checks(outcome=Outcome.UNIQUE, reference_id="b"),
        "neither": ledger.list_checks(outcome=Outcome.REVIEW, reference_id="b"),
    }
    assert {name: [found.id for found in page.items] for name, page in listed.items()} == {
        "review": ["a"],
        "reference": ["a"],
        "both": ["b"],
        "neither": [],
    }


def test_threads_may_share_it(ledger: Ledger) -> None:
    def live(number: int) -> None:
        started = ledger.jobs.create(job(f"{number}"), tries=1, lease_s=60)
        ledger.record_check(check(f"{number}"), lease=started.lease)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(live, range(40)))
    assert len(ledger.jobs.list(state=JobState.DONE, limit=50).items) == 40
    assert len(ledger.list_checks(outcome=Outcome.REVIEW, limit=50).items) == 40


def test_it_reads_the_same_after_closing(place: str) -> None:
    first = Ledger(place)
    first.jobs.create(job("j"), tries=1)
    first.record_check(check("a"))
    first.close()
    second = Ledger(place)
    assert second.jobs.get("j") == job("j")
    assert second.get_check("a") == check("a")
    second.close()


HOLDER = """
import sys
from dubl.ledger.ledger import Ledger
from dubl.types import Job, JobKind, JobState

ledger = Ledger(sys.argv[1])
ledger.jobs.create(
    Job(id="j", kind=JobKind.CHECK, state=JobState.QUEUED, subject_id="s", request={},
        created_at="2026-01-01T00:00:00.000Z"),
    tries=1, lease_s=60,
)
sys.stdout.write("written\\n")
sys.stdout.flush()
sys.stdin.read()
"""


def test_a_killed_process_loses_nothing_and_a_living_one_is_named(path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "written\n"
        with pytest.raises(StoreHeld, match=rf"held by another process \(PID {holder.pid}\)$"):
            Ledger(path)
        holder.send_signal(signal.SIGKILL)
    survivor = Ledger(path)
    assert survivor.jobs.get("j") == job(
        "j", subject_id="s", request={}, state=JobState.RUNNING, attempts=1
    )
    survivor.close()


def test_tables_of_a_newer_version_are_refused_and_left_as_they_are(empty: str) -> None:
    ask(empty, "CREATE TABLE schema_version (version INTEGER NOT NULL)")
    ask(empty, "INSERT INTO schema_version VALUES (99)")
    with pytest.raises(StoreTooNew, match="version 99") as told:
        Ledger(empty)
    assert told.value.context == {"stored_version": 99, "known_version": SCHEMA_VERSION}
    assert ask(empty, TABLES) == [("schema_version",)]


FIRST_JOBS_TABLE = """
    CREATE TABLE jobs (
        id VARCHAR PRIMARY KEY, kind VARCHAR NOT NULL, state VARCHAR NOT NULL,
        subject_id VARCHAR NOT NULL, request VARCHAR NOT NULL, created_at VARCHAR NOT NULL,
        finished_at VARCHAR NOT NULL, attempts INTEGER NOT NULL, result_id VARCHAR NOT NULL,
        created BOOLEAN NOT NULL, error_code VARCHAR NOT NULL, error_detail VARCHAR NOT NULL
    )
"""


def test_a_ledger_of_the_first_version_is_brought_up_to_date(empty: str) -> None:
    ask(empty, "CREATE TABLE schema_version (version INTEGER NOT NULL)")
    ask(empty, "INSERT INTO schema_version VALUES (1)")
    ask(empty, FIRST_JOBS_TABLE)
    ask(
        empty,
        "INSERT INTO jobs VALUES ('old', 'check', 'running', 's', '{}', "
        "'2026-01-01T00:00:00.000Z', '', 1, '', false, '', '')",
    )
    for _ in range(2):
        upgraded = Ledger(empty)
        upgraded.close()
    versions = ask(empty, "SELECT version FROM schema_version")
    assert versions == [(1,), *((one.version,) for one in UPGRADES)]
    upgraded = Ledger(empty)
    (claimed,) = upgraded.jobs.claim(limit=9, lease_s=60)
    assert (claimed.id, claimed.attempts, claimed.callbacks) == ("old", 2, ())
    upgraded.close()


def test_steps_run_once_in_order_and_one_that_fails_leaves_the_old_version(
    empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Ledger(empty).close()
    good = Upgrade(version=1000, statements=("CREATE TABLE trees (name VARCHAR)",))
    grown = Upgrade(version=1001, statements=("INSERT INTO trees VALUES ('oak')",))
    broken = Upgrade(version=1002, statements=("INSERT INTO shrubs VALUES ('box')",))
    monkeypatch.setattr(database, "SCHEMA_VERSION", 1002)
    monkeypatch.setattr(database, "UPGRADES", (*UPGRADES, good, grown, broken))
    with pytest.raises(StoreUnavailable, match="shrubs"):
        Ledger(empty)
    latest = "SELECT max(version) FROM schema_version"
    assert ask(empty, latest) == [(SCHEMA_VERSION,)]
    assert ("trees",) not in ask(empty, TABLES)
    monkeypatch.setattr(database, "UPGRADES", (*UPGRADES, good, grown))
    for _ in range(2):
        Ledger(empty).close()
    assert ask(empty, latest) == [(1001,)]
    assert ask(empty, "SELECT name FROM trees") == [("oak",)]


def test_a_file_that_is_no_database_is_unavailable(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("not a database, but long enough to be looked at as one" * 100)
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        Ledger(path)


def test_its_connection_is_replaced_after_so_many_transactions_and_nothing_is_lost(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []
    connect = duckdb_file._connect

    def counted(path: Path) -> duckdb.DuckDBPyConnection:
        opened.append(path)
        return connect(path)

    monkeypatch.setattr(duckdb_file, "_connect", counted)
    monkeypatch.setattr(duckdb_file, "TRANSACTIONS_PER_CONNECTION", 10)
    with closing(Ledger(path)) as ledger:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(ledger.record_check, [check(f"c{number}") for number in range(35)]))
        assert {found.id for found in ledger.list_checks().items} == {f"c{n}" for n in range(35)}
    assert len(opened) == 4
    with pytest.raises(StoreUnavailable):
        ledger.record_check(check("late"))
    assert len(opened) == 4


def test_a_file_that_another_process_takes_between_two_connections_is_got_back(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duckdb_file, "TRANSACTIONS_PER_CONNECTION", 1)
    with closing(Ledger(path)) as ledger:

        def taken(_: Path) -> duckdb.DuckDBPyConnection:
            raise StoreHeld("another process was faster")

        ledger.record_check(check("0"))
        with monkeypatch.context() as patch:
            patch.setattr(duckdb_file, "_connect", taken)
            with pytest.raises(StoreHeld):
                ledger.record_check(check("a"))
        ledger.record_check(check("b"))
        assert [found.id for found in ledger.list_checks().items] == ["b", "0"]


def test_a_closed_ledger_is_unavailable(place: str) -> None:
    closed = Ledger(place)
    closed.close()
    with pytest.raises(StoreUnavailable):
        closed.jobs.get("j")
    with pytest.raises(StoreUnavailable):
        closed.jobs.create(job("j"), tries=1)


def test_checks_are_found_by_name_hash_day_and_library(ledger: Ledger) -> None:
    first = replace(check("one"), query_name="Лето.MP4", libraries=("films",))
    other = replace(check("two"), query_sha256="cd" * 32, created_at="2027-05-06T07:08:09.000Z")
    for one in (first, other):
        ledger.record_check(one)

    def found(**wanted: str) -> list[str]:
        return [one.id for one in ledger.list_checks(**wanted).items]  # type: ignore[arg-type]

    assert found(text="лето") == ["one"]
    assert found(sha256="CDCD") == found(since="2027") == ["two"]
    assert found(until="2027-05-06") == ["two", "one"]
    assert found(until="2027-05-05") == ["one"]
    assert found(library="films") == ["one"]
    assert found(text="winter") == []
