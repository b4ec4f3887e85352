"""The service with its ledger in PostgreSQL; in this process, without Ray."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from dubl.ledger.ledger import Ledger
from dubl.settings import Settings, load_settings
from tests.integration.conftest import Clips
from tests.support.in_process import running_app
from tests.support.postgres import running_cluster
from tests.support.service import Client


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running_cluster() as cluster:
        yield cluster.make_database()


@pytest.fixture(scope="module")
def settings(clips: Clips, address: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    overrides = [
        f"data_dir={tmp_path_factory.mktemp('shared')}",
        f"media.allowed_roots=[{clips.folder}]",
    ]
    environment = {"DUBL__LEDGER__URL": address}
    return load_settings("configs/local.yaml", overrides, environment=environment)


def test_what_was_acknowledged_is_there_when_the_service_starts_again(
    clips: Clips, settings: Settings, address: str, tmp_path: Path
) -> None:
    path = clips.queries("trim")[0]
    reference = Path(clips.truth.queries[path.name].matches[0].reference)
    with running_app(settings) as base, Client(base) as client:
        original = next(one for one in clips.references if one.stem == reference.stem)
        assert client.register(original, id=original.stem).status_code == 201
        check = client.check(path).json()
        assert check["outcome"] == "duplicate"
        sent = {
            "check_id": check["id"],
            "reference_id": original.stem,
            "decision": "confirmed",
            "reviewer": "anna",
            "note": "",
        }
        assert client.http.post("/v1/reviews", json=sent).status_code == 201
    assert not settings.ledger_path.exists()
    with psycopg.connect(address) as server:
        found = server.execute("SELECT id, outcome FROM checks").fetchall()
        assert found == [(check["id"], "duplicate")]
        jobs = server.execute("SELECT kind, state FROM jobs ORDER BY kind").fetchall()
        assert jobs == [("check", "done"), ("reference", "done")]
    with running_app(settings) as base, Client(base) as client:
        assert client.http.get(f"/v1/checks/{check['id']}").json() == check
        (review,) = client.http.get("/v1/reviews").json()["items"]
        assert review["decision"] == "confirmed"
        copy = client.http.get("/v1/ledger").content
    (tmp_path / "copy.duckdb").write_bytes(copy)
    with closing(Ledger(tmp_path / "copy.duckdb")) as opened:
        assert opened.get_check(check["id"]).query_name == path.name
