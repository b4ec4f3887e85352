"""The command that a newcomer runs first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_demo_answers_everything_right_and_shows_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipelines.demo", "--folder", str(tmp_path / "demo")]
    result = subprocess.run([*command, "--clips", "7"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "7 of 7 answers are right" in result.stdout
    assert "WRONG" not in result.stdout


def test_the_demo_says_plainly_that_a_folder_holds_too_few_videos(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipelines.demo", "--folder", str(tmp_path / "demo")]
    result = subprocess.run(
        [*command, "--videos", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert "the demo needs" in result.stderr
    assert "Traceback" not in result.stderr
