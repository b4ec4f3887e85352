"""What `make wheel` builds works outside the checkout: weights, settings and console are in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's content, as pip lays it out; other packages are this one's."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory"]
    subprocess.run([*build, folder / "dist"], cwd=PROJECT, check=True, capture_output=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    install = [Path(sys.executable).with_name("uv"), "pip", "install", "--quiet", "--no-deps"]
    subprocess.run([*install, "--target", folder / "site", wheel], check=True)
    return folder / "site"


def _run(command: list[str | Path], *, site: Path, folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_command_answers(installed: Path, tmp_path: Path) -> None:
    told = _run([installed / "bin" / "dubl", "--help"], site=installed, folder=tmp_path)
    assert "Find copies of videos" in told


def test_a_check_needs_nothing_of_the_checkout(installed: Path, tmp_path: Path) -> None:
    script = PROJECT / "tests" / "support" / "installed_check.py"
    told = _run([sys.executable, "-P", script, tmp_path], site=installed, folder=tmp_path)
    loaded_from, console, outcome = told.split()
    assert Path(loaded_from).is_relative_to(installed)
    assert console == "True"
    assert outcome == "duplicate"


def test_pages_are_rendered_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    script = (
        "from dubl.rendering import render; "
        "print(render('duplicates.html', {'clusters': [], 'count': 0, 'copies': 0}))"
    )
    told = _run([sys.executable, "-P", "-c", script], site=installed, folder=tmp_path)
    assert "color-scheme: light dark" in told
    assert "0 clusters" in told
