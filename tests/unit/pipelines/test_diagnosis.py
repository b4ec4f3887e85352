"""What `dubl doctor` says of an installation, and what it advises."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from importlib import metadata
from pathlib import Path

import duckdb
import pytest
import yaml
from typer.testing import CliRunner

from dubl.assembly import make_store
from dubl.client.client import Client
from dubl.ledger.ledger import Ledger
from dubl.settings import load_settings
from pipelines.cli.main import app
from pipelines.diagnosis import (
    State,
    clock,
    free_disk,
    ledger,
    look_at_service,
    packages,
    port,
    python_version,
    shared_memory,
    writable,
)
from tests.support.fake_service import FakeService
from tests.support.http_server import serving
from tests.support.other_weights import other_weights

NOW_S = 1_700_000_000.0
NOW = "Tue, 14 Nov 2023 22:13:20 GMT"


def test_a_python_that_is_not_supported_is_named_with_those_that_are() -> None:
    old = python_version((3, 10))
    assert (old.state, old.text) == (State.PROBLEM, "3.10 is not supported")
    assert "3.11" in old.advice
    assert python_version((3, 13)).state is State.OK


def test_a_missing_and_a_wrong_package_are_both_named(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["numpy<1", "no-such-package-at-all>=2", "httpx", 'ray; python_version < "3"']
    monkeypatch.setattr(metadata, "requires", lambda _: wanted)
    found = packages("dubl")
    assert found.state is State.PROBLEM
    assert "no-such-package-at-all is missing" in found.text
    assert "is not <1" in found.text
    assert "httpx" not in found.text


def test_without_shared_memory_ray_will_use_the_disk(tmp_path: Path) -> None:
    assert "use the disk" in shared_memory(tmp_path / "none").advice


def test_a_ledger_that_is_held_is_no_problem_and_its_holder_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    assert ledger(path).state is State.NOTE
    with closing(Ledger(path)):
        pass
    assert ledger(path).state is State.OK
    script = f"import duckdb; held = duckdb.connect({str(path)!r}); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        found = ledger(path)
        holder.communicate(b"\n")
    assert found.state is State.NOTE
    assert str(holder.pid) in found.text
    assert "--url" in found.advice


def test_a_ledger_of_a_newer_program_and_a_broken_one_are_problems(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    with closing(Ledger(path)):
        pass
    with duckdb.connect(str(path)) as connection:
        connection.execute("INSERT INTO schema_version VALUES (99)")
    assert "version 99" in ledger(path).text
    path.write_bytes(b"not a database at all" * 100)
    assert (ledger(path).state, "restore" in ledger(path).advice) == (State.PROBLEM, True)


def test_a_folder_that_cannot_be_written_is_a_problem(tmp_path: Path) -> None:
    assert writable(tmp_path).state is State.OK
    assert writable(tmp_path / "none").state is State.PROBLEM
    assert free_disk(tmp_path).topic == "disk"


def test_a_port_that_is_taken_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        assert port("127.0.0.1", number).state is State.NOTE
    assert port("127.0.0.1", number).state is State.OK


def test_clocks_that_differ_are_a_problem() -> None:
    assert clock(NOW, NOW_S + 5).state is State.OK
    assert clock(NOW, NOW_S + 90).text == "it differs from the service's by 90 s"
    assert clock("", NOW_S).state is State.NOTE


@pytest.fixture
def service(tmp_path: Path) -> FakeService:
    return FakeService(tmp_path)


@pytest.fixture
def address(service: FakeService) -> Iterator[str]:
    with serving(service.app(keys_required=True)) as address:
        yield address


def test_a_service_that_waits_and_a_key_that_is_wrong_are_told_apart(
    address: str, service: FakeService
) -> None:
    service.missing = ("reranker",)
    with Client(address, api_key="dubl_wrong") as client:
        found = {one.topic: one for one in look_at_service(client)}
    assert found["service"].text == "it is not ready; it waits for reranker"
    assert found["key"].state is State.PROBLEM
    assert "dubl keys create" in found["key"].advice
    assert found["clock"].state is State.OK


def test_the_doctor_ends_with_1_where_there_is_a_problem(tmp_path: Path) -> None:
    healthy = CliRunner().invoke(app, ["doctor", "--data", str(tmp_path), "--json", "--port", "0"])
    topics = {json.loads(line)["topic"] for line in healthy.stdout.splitlines()}
    assert healthy.exit_code == 0, healthy.output
    assert {"Python", "packages", "weights", "decoder", "network", "library", "port"} <= topics
    arguments = ["doctor", "--data", str(tmp_path), "--url", "http://127.0.0.1:9"]
    sick = CliRunner().invoke(app, arguments)
    assert sick.exit_code == 1
    assert "1 problem" in sick.output


def test_both_feature_spaces_are_looked_at(tmp_path: Path) -> None:
    weights = other_weights(tmp_path / "weights")
    config = tmp_path / "dubl.yaml"
    data = tmp_path / "data"
    texts = {"data_dir": str(data), "candidate": {"weights": str(weights)}}
    config.write_text(yaml.safe_dump(texts))
    make_store(load_settings(overrides=[f"data_dir={data}"], environment={}))
    arguments = ["doctor", "--config", str(config), "--json", "--port", "0"]
    found = CliRunner().invoke(app, arguments)
    assert found.exit_code == 0, found.output
    told = [(one["topic"], one["text"]) for one in map(json.loads, found.stdout.splitlines())]
    assert len([topic for topic, _ in told if topic == "network"]) == 2
    answering, candidate = [text for topic, text in told if topic == "library"]
    assert answering.startswith("0 references")
    assert str(weights) in candidate
    assert not (data / "library" / "spaces").exists()
    config.write_text(yaml.safe_dump({"candidate": {"weights": "nowhere"}}))
    wrong = CliRunner().invoke(app, arguments)
    assert wrong.exit_code == 1
    assert "'nowhere' is neither shipped" in wrong.output
