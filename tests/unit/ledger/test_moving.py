"""Claims about a ledger that goes from one engine to another."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dubl.backup import restore_backup, write_backup
from dubl.errors import InvalidRequest
from dubl.ledger.api_keys import make_key
from dubl.ledger.database import Row
from dubl.ledger.duckdb_file import DuckDbFile
from dubl.ledger.ledger import Ledger
from dubl.ledger.moving import copy_ledger
from dubl.ledger.postgres import COLUMNS
from dubl.settings import LedgerSettings, load_settings
from dubl.types import Scope
from pipelines.cli.main import app
from tests.support.postgres import Cluster
from tests.unit.ledger.test_ledger import check, job

SETTINGS = LedgerSettings()


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A ledger with something in most tables, and every kind of column."""
    place = str(tmp_path / "first.duckdb")
    with closing(Ledger(place)) as ledger:
        for number in range(3):
            started = ledger.jobs.create(job(f"{number}", callbacks=("h",)), tries=1, lease_s=60)
            ledger.record_check(check(f"{number}"), lease=started.lease)
        ledger.jobs.create(job("waits"), tries=1)
        ledger.keys.add(make_key("ключ", scopes=[Scope.CHECK], libraries=["a", "b"]).key)
        ledger.forget_reference("gone")
    return place


def _rows(file: str) -> dict[str, list[Row]]:
    with closing(DuckDbFile(Path(file))) as opened:
        return {
            table: sorted(opened.rows(f"SELECT {', '.join(sorted(columns))} FROM {table}"))
            for table, columns in opened.rows(COLUMNS)
        }


def test_there_and_back_nothing_changes(file: str, cluster: Cluster, tmp_path: Path) -> None:
    database, back = cluster.make_database(), str(tmp_path / "new" / "back.duckdb")
    for places in ([file, database], [database, back]):
        done = CliRunner().invoke(app, ["ledger", "move", *places])
        assert done.exit_code == 0, done.output
    assert _rows(back) == _rows(file)
    assert sum(bool(rows) for rows in _rows(back).values()) >= 4
    with closing(Ledger(database)) as ledger:
        assert [one.id for one in ledger.jobs.claim(limit=9, lease_s=60)] == ["waits"]


def test_what_is_there_is_never_overwritten(file: str, cluster: Cluster, tmp_path: Path) -> None:
    database = cluster.make_database()
    with closing(Ledger(database)) as ledger:
        ledger.jobs.create(job("here"), tries=1)
        with pytest.raises(InvalidRequest, match="is not empty: jobs"):
            copy_ledger(file, database, SETTINGS)
        assert [one.id for one in ledger.jobs.list().items] == ["here"]
        assert ledger.list_checks().items == (), "of the others nothing came"
    with pytest.raises(InvalidRequest, match="already exists"):
        copy_ledger(database, file, SETTINGS)
    with pytest.raises(InvalidRequest, match="no ledger at"):
        copy_ledger(str(tmp_path / "absent"), database, SETTINGS)
    assert not (tmp_path / "absent").exists()


def test_a_back_up_is_restored_into_a_database(file: str, cluster: Cluster, tmp_path: Path) -> None:
    before = load_settings(overrides=[f"data_dir={tmp_path / 'before'}"])
    with closing(Ledger(file)) as ledger:
        write_backup(tmp_path / "copy", before, copy_ledger=ledger.copy_to)
    database = cluster.make_database()
    after = load_settings(
        overrides=[f"data_dir={tmp_path / 'after'}"], environment={"DUBL__LEDGER__URL": database}
    )
    restore_backup(tmp_path / "copy", after)
    assert not after.ledger_path.exists()
    with closing(Ledger(database)) as ledger:
        assert len(ledger.list_checks().items) == 3
    with pytest.raises(InvalidRequest, match="is not empty"):
        restore_backup(tmp_path / "copy", after.model_copy(update={"data_dir": tmp_path / "new"}))
    assert not (tmp_path / "new").exists(), "it is found out before anything is written"
