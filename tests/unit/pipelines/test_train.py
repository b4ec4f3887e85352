"""The training command names what is wrong with its input."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.train import app


def test_a_wrong_row_of_labeled_pairs_ends_the_command_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("query,reference,label\na.mp4,b.mp4,maybe\n")
    result = CliRunner().invoke(app, ["pairs", "--pairs", str(path), "--output", str(tmp_path)])
    assert result.exit_code == 1
    assert "row 2: label must be 1 or 0" in result.stderr


@pytest.mark.parametrize("what", ["descriptor", "comparator"])
def test_a_run_that_was_begun_is_not_written_over(tmp_path: Path, what: str) -> None:
    config, output = tmp_path / "config.yaml", tmp_path / "run"
    config.write_text("run: {steps: 1}\n")
    output.mkdir()
    (output / "last.pt").write_bytes(b"hours of work")
    result = CliRunner().invoke(app, [what, "--config", str(config), "--output", str(output)])
    assert result.exit_code == 1
    assert "go on with --resume" in result.stderr
    assert (output / "last.pt").read_bytes() == b"hours of work"


@pytest.mark.parametrize("what", ["descriptor", "comparator"])
def test_a_wrong_key_ends_the_command_with_its_name(tmp_path: Path, what: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("run: {stepps: 3}\n")
    result = CliRunner().invoke(app, [what, "--config", str(path), "--output", str(tmp_path)])
    assert result.exit_code == 1
    assert "run.stepps" in result.stderr
