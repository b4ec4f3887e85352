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
def test_a_wrong_key_ends_the_command_with_its_name(tmp_path: Path, what: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("run: {stepps: 3}\n")
    result = CliRunner().invoke(app, [what, "--config", str(path), "--output", str(tmp_path)])
    assert result.exit_code == 1
    assert "run.stepps" in result.stderr
