"""The command line answers with names, and with one line for an error."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from pipelines.cli import app


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
