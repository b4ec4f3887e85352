"""Claims about copies of the ledger elsewhere, and what is lost with its disk."""

from __future__ import annotations

import os
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from dubl.errors import JobNotFound, StoreUnavailable
from dubl.ledger import duckdb_file
from dubl.ledger.ledger import Ledger
from dubl.ledger.snapshots import Snapshots
from dubl.objects import ObjectFolder
from dubl.types import Job, JobKind, JobState


def _job(name: str) -> Job:
    return Job(
        id=name,
        kind=JobKind.CHECK,
        state=JobState.QUEUED,
        subject_id=name,
        request={},
        created_at="2026-01-01T00:00:00.000Z",
    )


@pytest.fixture
def store(tmp_path: Path) -> ObjectFolder:
    return ObjectFolder(f"file://{tmp_path / 'bucket'}")


def test_what_was_written_before_the_last_copy_survives_the_disk_and_nothing_else_is_lost(
    tmp_path: Path, store: ObjectFolder
) -> None:
    path = tmp_path / "node" / "ledger.duckdb"
    snapshots = Snapshots(store, keep=3)
    assert not snapshots.restore(path)
    with closing(Ledger(path)) as ledger:
        ledger.jobs.create(_job("before"), tries=1)
        assert snapshots.ship(ledger)
        ledger.jobs.create(_job("after"), tries=1)
    path.unlink()
    assert Snapshots(store, keep=3).restore(path)
    with closing(Ledger(path)) as ledger:
        assert ledger.jobs.get("before").state is JobState.QUEUED
        with pytest.raises(JobNotFound):
            ledger.jobs.get("after")


def test_nothing_is_copied_while_nothing_is_written_and_the_oldest_go(
    tmp_path: Path, store: ObjectFolder
) -> None:
    snapshots = Snapshots(store, keep=2)
    with closing(Ledger(tmp_path / "ledger.duckdb")) as ledger:
        assert snapshots.ship(ledger)
        assert not snapshots.ship(ledger)
        for number in range(3):
            ledger.jobs.create(_job(f"{number}"), tries=1)
            assert snapshots.ship(ledger)
    assert len(store.list()) == 2


def test_a_file_that_is_newer_than_the_last_copy_stays_and_an_older_one_gives_way(
    tmp_path: Path, store: ObjectFolder
) -> None:
    here, there = tmp_path / "here.duckdb", tmp_path / "there.duckdb"
    snapshots = Snapshots(store, keep=2)
    with closing(Ledger(here)) as ledger:
        snapshots.ship(ledger)
        ledger.jobs.create(_job("newest"), tries=1)
    assert not snapshots.restore(here)

    with closing(Ledger(there)) as ledger:  # the ledger lived on on another node
        ledger.jobs.create(_job("elsewhere"), tries=1)
        Snapshots(store, keep=2).ship(ledger)
    os.utime(here, (1.0, 1.0))
    assert snapshots.restore(here)
    with closing(Ledger(here)) as ledger:
        assert ledger.jobs.get("elsewhere")


def test_no_empty_ledger_begins_while_the_store_is_away(tmp_path: Path) -> None:
    blocked = tmp_path / "bucket"
    blocked.write_text("no folder")
    with pytest.raises(StoreUnavailable):
        Snapshots(ObjectFolder(f"file://{blocked}"), keep=1).restore(tmp_path / "ledger.duckdb")


def test_a_ledger_that_nobody_wrote_into_is_neither_copied_nor_restored_again(
    tmp_path: Path, store: ObjectFolder
) -> None:
    path = tmp_path / "ledger.duckdb"
    snapshots = Snapshots(store, keep=3)
    with closing(Ledger(path)) as ledger:
        ledger.jobs.create(_job("one"), tries=1, lease_s=3600)
        assert snapshots.ship(ledger)
        assert ledger.jobs.claim(limit=4, lease_s=20, older_than_s=0) == ()
        assert not snapshots.ship(ledger)
        written_at = path.with_name(f"{path.name}.wal").stat().st_mtime_ns
    os.utime(path, ns=(written_at, written_at))  # as a killed process leaves it
    assert not Snapshots(store, keep=3).restore(path)


def test_calls_go_on_while_the_ledger_is_copied_and_the_copy_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duckdb_file, "TRANSACTIONS_PER_CONNECTION", 10)
    ledger, copy = Ledger(tmp_path / "ledger.duckdb"), duckdb_file._copy_bytes
    pages: list[bytes] = []

    def copied(source: Path, target: Path, *, size: int | None = None) -> None:
        for number in range(12):
            ledger.jobs.create(_job(f"{len(pages)} {number}"), tries=1)
        copy(source, target, size=size)
        pages.append((tmp_path / "ledger.duckdb").read_bytes())

    monkeypatch.setattr(duckdb_file, "_copy_bytes", copied)
    ledger.copy_to(tmp_path / "copy.duckdb")
    ledger.close()
    assert pages[0] == pages[1]
    for name, parts in (("copy", "0"), ("ledger", "01")):
        with closing(Ledger(tmp_path / f"{name}.duckdb")) as opened:
            found = {one.id for one in opened.jobs.list().items}
        assert found == {f"{part} {number}" for part in parts for number in range(12)}


def test_a_disk_that_cannot_be_written_past_the_page_cache_gets_its_copy_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, refused = subprocess.run, list[str]()

    def refusing(command: list[str], **options: object) -> object:
        if "--reflink=always" in command or "oflag=direct" in command:
            refused.append(command[0])
            command = ["false"]
        return run(command, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "run", refusing)
    with closing(Ledger(tmp_path / "ledger.duckdb")) as ledger:
        ledger.jobs.create(_job("one"), tries=1)
        ledger.copy_to(tmp_path / "copy.duckdb")
        with pytest.raises(StoreUnavailable, match="cannot copy"):
            ledger.copy_to(tmp_path)
    assert refused[:3] == ["cp", "dd", "dd"]
    with closing(Ledger(tmp_path / "copy.duckdb")) as copy:
        assert copy.jobs.get("one")
