"""The command line answers with names, and with one line for an error."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from click.testing import Result
from typer.testing import CliRunner

from pipelines.cli.main import app


def test_weights_list_names_every_preset() -> None:
    result = CliRunner().invoke(app, ["weights", "list"])
    assert result.exit_code == 0
    for name in ("s2vs_dns", "s2vs_vcdb", "visil_symmetric", "dns_fg_bin_student"):
        assert name in result.output


def test_unknown_weights_are_an_error_without_a_traceback(tmp_path: Path) -> None:
    arguments = ["weights", "fetch", "nonsense", "--folder", str(tmp_path)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert "weights_unavailable" in result.output
    assert "Traceback" not in result.output


def _keys(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["keys", *arguments], env={"DUBL_URL": "", "DUBL_API_KEY": ""})


def test_keys_are_made_listed_and_revoked_while_the_service_is_down(tmp_path: Path) -> None:
    data = ["--data", str(tmp_path)]
    made = _keys("create", "uploads", "--scope", "check", "--library", "films", *data)
    token = made.stdout.strip()
    assert made.exit_code == 0
    assert made.stderr.startswith("warning: no reference is in library films. ")
    listed = json.loads(_keys("list", *data).output)
    assert (listed["name"], listed["scopes"], listed["libraries"]) == (
        "uploads",
        ["check"],
        ["films"],
    )
    assert token.startswith(listed["prefix"])
    assert _keys("revoke", listed["prefix"], *data).exit_code == 0
    assert json.loads(_keys("list", *data).output)["revoked_at"]
    assert _keys("revoke", "none", *data).exit_code == 1


def test_while_the_service_holds_the_ledger_the_way_to_it_is_told(tmp_path: Path) -> None:
    script = f"""
from dubl.ledger.ledger import Ledger
ledger = Ledger({str(tmp_path / "ledger.duckdb")!r})
print("held", flush=True)
input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        answer = _keys("create", "a", "--scope", "admin", "--data", str(tmp_path))
        holder.communicate(b"\n")
    assert answer.exit_code == 1
    assert "store_held" in answer.output
    assert "--url" in answer.output
    assert "Traceback" not in answer.output


def test_a_service_that_is_not_there_is_told_in_a_line() -> None:
    answer = _keys("list", "--url", "http://127.0.0.1:9")
    assert answer.exit_code == 1
    assert "not_reachable" in answer.output


def test_a_start_on_another_address_without_keys_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "serve_app.main", "--host", "0.0.0.0", "--port", "0"]
    result = subprocess.run(
        [*command, "--data", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert "dubl keys create" in result.stderr
    assert "Traceback" not in result.stderr
