"""Claims about a ledger in PostgreSQL alone: several processes, a server that goes away."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import NoneType

import psycopg
import pytest

from dubl.errors import (
    ConfigurationError,
    LeaseLost,
    StateConflict,
    StoreReadOnly,
    StoreUnavailable,
)
from dubl.ledger import clock
from dubl.ledger.ledger import Ledger
from dubl.settings import LedgerSettings, load_settings
from dubl.types import JobKind, JobState
from tests.support.postgres import Cluster, running_cluster
from tests.unit.ledger.test_ledger import check, job


@pytest.fixture
def engine() -> str:
    return "postgresql"


@pytest.fixture
def two(place: str) -> Iterator[tuple[Ledger, Ledger]]:
    """Two ledgers on one database, as of two processes."""
    with closing(Ledger(place)) as one, closing(Ledger(place)) as other:
        yield one, other


def test_two_processes_never_get_the_same_job(two: tuple[Ledger, Ledger]) -> None:
    for number in range(60):
        two[0].jobs.create(job(f"{number}"), tries=1)

    def claimed(number: int) -> list[str]:
        return [one.id for one in two[number % 2].jobs.claim(limit=15, lease_s=60)]

    with ThreadPoolExecutor(4) as pool:
        ids = [one for found in pool.map(claimed, range(4)) for one in found]
    assert sorted(ids) == sorted(f"{number}" for number in range(60))


def test_a_batch_whose_last_children_end_together_ends(two: tuple[Ledger, Ledger]) -> None:
    one, other = two
    for number in range(10):
        batch = one.jobs.create(job(f"b{number}", kind=JobKind.BATCH), tries=1, lease_s=60)
        children = [job(f"{number} {part}", parent_id=batch.id) for part in range(2)]
        one.jobs.expand(batch.lease, children, tries=1)
        leases = [one.jobs.claim_one(child.id, lease_s=60).lease for child in children]
        with ThreadPoolExecutor(2) as pool:
            list(
                pool.map(
                    lambda part: part[0].jobs.finish(part[1], result_id="r", created=True),
                    zip((one, other), leases, strict=True),
                )
            )
        assert other.jobs.get(batch.id).state is JobState.DONE


def test_a_job_ends_once_whoever_ends_it(two: tuple[Ledger, Ledger]) -> None:
    for number in range(20):
        started = two[0].jobs.create(job(f"{number}"), tries=1, lease_s=60)
        with ThreadPoolExecutor(2) as pool:
            cancelled = pool.submit(two[0].jobs.cancel, started.id)
            finished = pool.submit(two[1].jobs.finish, started.lease, result_id="r", created=True)
            refused = [type(each.exception()) for each in (cancelled, finished)]
        assert refused in ([StateConflict, NoneType], [NoneType, LeaseLost])


def test_a_batch_is_cancelled_while_its_children_end(two: tuple[Ledger, Ledger]) -> None:
    for number in range(10):
        batch = two[0].jobs.create(job(f"b{number}", kind=JobKind.BATCH), tries=1, lease_s=60)
        children = [job(f"{number} {part}", parent_id=batch.id) for part in range(3)]
        two[0].jobs.expand(batch.lease, children, tries=1)
        leases = [two[0].jobs.claim_one(child.id, lease_s=60).lease for child in children]
        with ThreadPoolExecutor(4) as pool:
            calls = [pool.submit(two[0].jobs.cancel, batch.id)]
            calls += [
                pool.submit(two[1].jobs.finish, lease, result_id="r", created=True)
                for lease in leases
            ]
            told = {type(each.exception()) for each in calls}
        assert told <= {NoneType, LeaseLost, StateConflict}
        assert all(two[1].jobs.get(one.id).state.ended for one in (batch, *children))


def test_what_one_process_switches_the_other_answers_from(two: tuple[Ledger, Ledger]) -> None:
    two[0].spaces.switch("new", previous_id="old", by="anna", note="")
    assert two[1].spaces.current() == "new"
    assert two[1].jobs.create(job("j"), tries=1, lease_s=60).space_id == "new"


def test_the_jobs_of_a_day_are_counted_once_by_all(two: tuple[Ledger, Ledger]) -> None:
    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda n: two[n % 2].keys.count_job("key", "2026-01-01"), range(40)))
    assert sorted(counts) == list(range(1, 41))


def test_the_first_verdict_stays_when_two_come_together(two: tuple[Ledger, Ledger]) -> None:
    for number in range(10):
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(Ledger.record_check, two, [check(f"{number}")] * 2))
        assert found.count(None) == 1


def test_a_server_that_starts_again_costs_each_connection_one_call() -> None:
    with running_cluster() as own:
        address = own.make_database()
        limits = LedgerSettings(connect_timeout_s=2)
        with closing(Ledger(address, settings=limits)) as ledger:
            ledger.jobs.create(job("before"), tries=1)
            own.stop()
            with pytest.raises(StoreUnavailable):
                ledger.jobs.get("before")
            with pytest.raises(StoreUnavailable):
                ledger.jobs.create(job("while it is away"), tries=1)
            own.start()
            assert ledger.jobs.get("before") == job("before")


def test_a_server_that_takes_no_changes_is_refused_in_words(cluster: Cluster) -> None:
    address = cluster.make_database()
    name = address.rpartition("/")[2]
    with closing(Ledger(address, settings=LedgerSettings(pool_size=1))) as ledger:
        with ledger._database.transaction("become a standby") as connection:
            connection.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
        with pytest.raises(StoreReadOnly):
            ledger.jobs.create(job("j"), tries=1)
        ledger.jobs.create(job("j"), tries=1)
    with psycopg.connect(cluster.url("postgres"), autocommit=True) as server:
        server.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with pytest.raises(StoreReadOnly, match="read-only standby"):
        Ledger(address)


def test_a_server_that_is_not_there_is_unavailable_and_no_password_is_told() -> None:
    address = "postgresql://dubl:secret@127.0.0.1:9/none"
    with pytest.raises(StoreUnavailable) as told:
        Ledger(address)
    assert "secret" not in str(told.value)
    with pytest.raises(ConfigurationError) as wrong:
        Ledger("postgresql://h/d?nonsense=secret")
    assert "secret" not in str(wrong.value)


def test_a_statement_that_takes_too_long_ends(place: str) -> None:
    with closing(Ledger(place, settings=LedgerSettings(statement_timeout_s=0.2))) as ledger:
        with pytest.raises(StoreUnavailable, match="statement timeout"):
            ledger._database.rows("SELECT pg_sleep(10)")
        assert ledger.jobs.list().items == ()


def test_time_is_the_servers() -> None:
    here = datetime.now(UTC)
    ahead = here + timedelta(hours=1)
    clock.follow(ahead, asked=here, answered=here + timedelta(seconds=0.2))
    assert abs(clock.now() - datetime.now(UTC) - timedelta(hours=1)) < timedelta(seconds=1)
    before = clock._ahead
    clock.follow(ahead, asked=here - timedelta(seconds=0.1), answered=here + timedelta(seconds=0.1))
    assert clock._ahead == before, "the way there and back explains it"


def test_a_copy_is_a_duckdb_file_with_all_rows(place: str, tmp_path: Path) -> None:
    with closing(Ledger(place)) as ledger:
        started = ledger.jobs.create(job("j"), tries=1, lease_s=60)
        ledger.record_check(check("j"), lease=started.lease)
        ledger.copy_to(tmp_path / "copy.duckdb")
        with closing(Ledger(tmp_path / "copy.duckdb")) as copy:
            assert copy.get_check("j") == ledger.get_check("j")
            assert copy.jobs.get("j") == ledger.jobs.get("j")


def test_texts_compare_by_their_bytes_and_may_contain_anything(place: str) -> None:
    with closing(Ledger(place)) as ledger:
        for number, odd in enumerate(("a", "B", "%s ? $1", "'", "\x00", "\ufffe")):
            ledger.record_check(replace(check(f"{number}"), query_name=odd))
        names = [one.query_name for one in ledger.list_checks().items]
        assert names == ["\ufffe", "\ufffd", "'", "%s ? $1", "B", "a"]
        ordered = ledger._database.rows("SELECT query_name FROM checks ORDER BY query_name")
        assert ordered == sorted(ordered)


def test_snapshots_are_of_files() -> None:
    environment = {"DUBL__LEDGER__URL": "postgresql://h/d"}
    assert load_settings(environment=environment).ledger_place == "postgresql://h/d"
    with pytest.raises(ConfigurationError, match="snapshots are of a DuckDB file"):
        load_settings(environment=environment, overrides=["ledger.snapshots=s3://bucket"])
    with pytest.raises(ConfigurationError, match="postgresql://"):
        load_settings(environment={"DUBL__LEDGER__URL": "mysql://h/d"})
