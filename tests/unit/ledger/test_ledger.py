"""Claims about jobs, verdicts and failures in the ledger."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from dubl.errors import CheckNotFound, InvalidRequest, NotFound, StoreUnavailable
from dubl.ledger.ledger import Ledger
from dubl.types import (
    Check,
    Job,
    JobKind,
    JobState,
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
    return replace(made, **changes)  # type: ignore[arg-type]


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
def ledger(path: Path) -> Iterator[Ledger]:
    opened = Ledger(path)
    yield opened
    opened.close()


def test_a_verdict_reads_back_equal(ledger: Ledger) -> None:
    unique = replace(VERDICT, outcome=Outcome.UNIQUE, matches=(), timings_ms={})
    for given in (check("it's"), check("b", verdict=unique), replace(check("c"), libraries=())):
        ledger.record_check(given)
        assert ledger.get_check(given.id) == given


def test_a_check_has_one_verdict(ledger: Ledger) -> None:
    ledger.record_check(check("a"))
    ledger.record_check(check("a", verdict=replace(VERDICT, outcome=Outcome.DUPLICATE)))
    assert ledger.get_check("a") == check("a")
    assert ledger.count_checks()[Outcome.REVIEW] == 1
    assert ledger.count_checks()[Outcome.DUPLICATE] == 0


def test_a_verdict_finishes_its_job(ledger: Ledger) -> None:
    ledger.create_job(job("j"))
    ledger.record_check(check("a"), job_id="j")
    done = ledger.get_job("j")
    assert (done.state, done.result_id) == (JobState.DONE, "a")
    assert ledger.unfinished_jobs() == ()


def test_a_verdict_without_its_job_is_not_kept(ledger: Ledger) -> None:
    with pytest.raises(NotFound, match="absent"):
        ledger.record_check(check("a"), job_id="absent")
    with pytest.raises(CheckNotFound):
        ledger.get_check("a")


def test_a_job_goes_its_way(ledger: Ledger) -> None:
    ledger.create_job(job("j"))
    assert ledger.get_job("j") == job("j")
    ledger.start_job("j")
    ledger.start_job("j")
    running = ledger.get_job("j")
    assert (running.state, running.attempts) == (JobState.RUNNING, 2)
    ledger.finish_job("j", result_id="reference", created=True)
    done = ledger.get_job("j")
    assert (done.state, done.result_id, done.created) == (JobState.DONE, "reference", True)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", done.finished_at)


def test_a_failed_job_says_why(ledger: Ledger) -> None:
    ledger.create_job(job("j"))
    ledger.fail_job("j", code="empty_file", detail="it's «пусто»")
    failed = ledger.get_job("j")
    assert (failed.state, failed.error_code) == (JobState.FAILED, "empty_file")
    assert failed.error_detail == "it's «пусто»"
    assert failed.finished_at


def test_a_job_created_again_keeps_its_state(ledger: Ledger) -> None:
    ledger.create_job(job("j"))
    ledger.start_job("j")
    ledger.create_job(job("j"))
    assert ledger.get_job("j").state is JobState.RUNNING


def test_unfinished_jobs_come_oldest_first(ledger: Ledger) -> None:
    for number, name in enumerate(("late", "done", "early", "failed", "running")):
        second = {"late": 9, "early": 1}.get(name, 4 + number)
        ledger.create_job(job(name, created_at=f"2026-01-01T00:00:0{second}.000Z"))
    ledger.finish_job("done")
    ledger.fail_job("failed", code="x", detail="y")
    ledger.start_job("running")
    assert [found.id for found in ledger.unfinished_jobs()] == ["early", "running", "late"]


def test_the_latest_job_of_a_subject_is_found(ledger: Ledger) -> None:
    ledger.create_job(job("old", subject_id="s"))
    ledger.create_job(job("new", subject_id="s", created_at="2026-01-01T00:00:01.000Z"))
    assert ledger.find_job("s").id == "new"


def test_what_is_absent_is_said_to_be(ledger: Ledger) -> None:
    for attempt in (ledger.get_job, ledger.find_job, ledger.start_job, ledger.finish_job):
        with pytest.raises(NotFound):
            attempt("absent")
    with pytest.raises(CheckNotFound):
        ledger.get_check("absent")
    with pytest.raises(InvalidRequest, match="cursor"):
        ledger.list_jobs(cursor="zzz")


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
    ledger.create_job(job("queued"))
    ledger.create_job(job("running"))
    ledger.start_job("running")
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
    assert [found.id for found in ledger.list_jobs(state=JobState.QUEUED).items] == ["queued"]
    assert len(ledger.list_jobs().items) == 2


def test_counts_name_every_state(ledger: Ledger) -> None:
    assert ledger.count_jobs() == dict.fromkeys(JobState, 0)
    assert ledger.count_checks() == dict.fromkeys(Outcome, 0)
    ledger.create_job(job("j"))
    ledger.record_failure("/видео's.mp4", code="empty_file", detail="no bytes", attempts=2)
    ledger.record_failure("/b.mp4", code="empty_file", detail="no bytes")
    assert ledger.count_jobs()[JobState.QUEUED] == 1
    assert ledger.count_failures() == {"empty_file": 2}


def test_threads_may_share_it(ledger: Ledger) -> None:
    def live(number: int) -> None:
        ledger.create_job(job(f"{number}"))
        ledger.start_job(f"{number}")
        ledger.record_check(check(f"{number}"), job_id=f"{number}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(live, range(40)))
    assert ledger.count_jobs()[JobState.DONE] == 40
    assert ledger.count_checks()[Outcome.REVIEW] == 40


def test_it_reads_the_same_after_closing(path: Path) -> None:
    first = Ledger(path)
    first.create_job(job("j"))
    first.record_check(check("a"))
    first.close()
    second = Ledger(path)
    assert second.get_job("j") == job("j")
    assert second.get_check("a") == check("a")
    second.close()


HOLDER = """
import sys
from dubl.ledger.ledger import Ledger
from dubl.types import Job, JobKind, JobState

ledger = Ledger(sys.argv[1])
ledger.create_job(
    Job(id="j", kind=JobKind.CHECK, state=JobState.QUEUED, subject_id="s", request={},
        created_at="2026-01-01T00:00:00.000Z")
)
ledger.start_job("j")
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
        with pytest.raises(StoreUnavailable, match=f"one process at a time.*PID {holder.pid}"):
            Ledger(path)
        holder.send_signal(signal.SIGKILL)
    survivor = Ledger(path)
    assert survivor.get_job("j") == job(
        "j", subject_id="s", request={}, state=JobState.RUNNING, attempts=1
    )
    survivor.close()


def test_tables_of_another_version_are_refused(path: Path) -> None:
    Ledger(path).close()
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE schema_version SET version = 99")
    with pytest.raises(StoreUnavailable, match="version 99"):
        Ledger(path)


def test_a_file_that_is_no_database_is_unavailable(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("not a database, but long enough to be looked at as one" * 100)
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        Ledger(path)


def test_a_closed_ledger_is_unavailable(path: Path) -> None:
    closed = Ledger(path)
    closed.close()
    with pytest.raises(StoreUnavailable):
        closed.get_job("j")
    with pytest.raises(StoreUnavailable):
        closed.create_job(job("j"))
