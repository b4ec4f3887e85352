"""A place for a ledger, on each of its engines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from dubl.ledger import clock
from dubl.ledger.ledger import Ledger
from tests.support.postgres import Cluster, running_cluster

EMPTY = """DO $$ DECLARE one text; BEGIN
    FOR one IN SELECT table_name FROM information_schema.tables
        WHERE table_schema = current_schema() AND table_name <> 'schema_version'
    LOOP EXECUTE 'DELETE FROM ' || one; END LOOP;
END $$"""


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as running:
        yield running


@pytest.fixture(scope="session")
def tables(cluster: Cluster) -> str:
    """The address of a database with the ledger's tables."""
    address = cluster.make_database()
    Ledger(address).close()
    return address


@pytest.fixture(params=["duckdb", "postgresql"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def place(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a ledger may be opened. In PostgreSQL its tables are there already, without rows: a new
    database for each test would take most of the time."""
    if engine == "duckdb":
        return str(tmp_path / "data" / "ledger.duckdb")
    address: str = request.getfixturevalue("tables")
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(EMPTY)
    return address


@pytest.fixture
def empty(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The same, and new: without tables."""
    if engine == "duckdb":
        return str(tmp_path / "ledger.duckdb")
    cluster: Cluster = request.getfixturevalue("cluster")
    return cluster.make_database()


@pytest.fixture(autouse=True)
def _this_clock() -> Iterator[None]:
    """A server's clock is followed in one test."""
    ahead = clock._ahead
    yield
    clock._ahead = ahead
