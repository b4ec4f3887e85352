"""What `make wheel` builds works outside the checkout: the client with a handful of packages, the
service with weights, settings and console."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from dubl.assembly import make_fingerprint_reader, query_sampling
from dubl.settings import load_settings
from tests.support.fake_service import FakeService
from tests.support.http_server import serving
from tests.support.numbered_clip import write_numbered_clip

PROJECT = Path(__file__).resolve().parents[2]
MAX_PACKAGES = 15
MAX_PRINTING_BYTES = 250_000_000
HEAVY = {
    "torch",
    "ray",
    "lancedb",
    "celery",
    "openvino",
    "decord",
    "numpy",
    "pyarrow",
    "av",
    "duckdb",
}
ASKED = """
import asyncio, sys
from dubl import AsyncClient, Client
with Client(sys.argv[1]) as dubl:
    check = dubl.check(sys.argv[2])
async def story():
    async with AsyncClient(sys.argv[1]) as dubl:
        return await dubl.wait_for_check(check.id)
assert asyncio.run(story()) == check
print(check.outcome)
"""
LOCAL = """
import dubl
try:
    dubl.LocalClient
except dubl.DublError as exc:
    print(exc.code, exc.detail)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory"]
    subprocess.run([*build, folder], cwd=PROJECT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's content, as pip lays it out; other packages are this one's."""
    site = tmp_path_factory.mktemp("wheel")
    _install(wheel, "--target", site)
    return site


@pytest.fixture(scope="module")
def thin(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment as `pip install dubl` makes it, from the packages that are here."""
    return _environment(wheel, tmp_path_factory.mktemp("thin"))


@pytest.fixture(scope="module")
def printing(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `pip install 'dubl[fingerprint]'` makes it."""
    return _environment(wheel, tmp_path_factory.mktemp("printing"), "fingerprint", "cli")


def _environment(wheel: Path, folder: Path, *extras: str) -> Path:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    _install(wheel, "--python", folder / "bin" / "python")
    (site,) = folder.glob("lib/python*/site-packages")
    (own,) = metadata.distributions(name="dubl", path=[str(site)])
    for name in _needed(own, extras):
        _link(metadata.distribution(name), site)
    return folder


def _install(wheel: Path, *options: str | Path) -> None:
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "pip", "install", "--quiet", "--no-deps", *options, wheel], check=True)


def _needed(distribution: metadata.Distribution, extras: tuple[str, ...]) -> set[str]:
    """Names of all that it asks for, with its extras, and what these ask for without any."""
    found: set[str] = set()
    waiting = [distribution]
    while waiting:
        asking = waiting.pop()
        own = ("", *extras) if asking is distribution else ("",)
        for requirement in map(Requirement, asking.requires or []):
            name = re.sub(r"[-_.]+", "-", requirement.name).lower()
            marker = requirement.marker
            wanted = marker is None or any(marker.evaluate({"extra": one}) for one in own)
            if wanted and name not in {*found, "dubl"}:
                found.add(name)
                waiting.append(metadata.distribution(name))
    return found


def _link(distribution: metadata.Distribution, site: Path) -> None:
    for file in distribution.files or ():
        target = site / file
        if ".." not in file.parts and "__pycache__" not in file.parts:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(distribution.locate_file(file))


def _run(command: list[str | Path], *, folder: Path, site: Path | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if site is not None:
        environment["PYTHONPATH"] = str(site)
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


def test_the_client_brings_a_handful_of_packages(thin: Path) -> None:
    (site,) = thin.glob("lib/python*/site-packages")
    names = {one.name.lower() for one in metadata.distributions(path=[str(site)])}
    assert {"dubl", "httpx", "pydantic"} <= names
    assert len(names) <= MAX_PACKAGES
    assert not names & HEAVY


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    with serving(FakeService(tmp_path / "data", prompt=True).app()) as address:
        yield address


def test_both_clients_ask_a_service_with_these_alone(
    thin: Path, address: str, tmp_path: Path
) -> None:
    video = tmp_path / "a.mp4"
    video.write_bytes(bytes(range(256)))
    command = [thin / "bin" / "python", "-c", ASKED, address, video]
    assert _run(command, folder=tmp_path).strip() == "duplicate"


def test_a_fingerprint_needs_neither_service_nor_store(printing: Path, tmp_path: Path) -> None:
    (site,) = printing.glob("lib/python*/site-packages")
    names = {one.name.lower() for one in metadata.distributions(path=[str(site)])}
    assert {"av", "numpy", "safetensors"} <= names
    assert not names & (HEAVY - {"av", "numpy"})
    files = [file for file in site.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= MAX_PRINTING_BYTES
    write_numbered_clip(tmp_path / "a.mp4", frames=75)
    _run([printing / "bin" / "dubl", "fingerprint", "a.mp4"], folder=tmp_path)
    settings = load_settings(overrides=[f"data_dir={tmp_path}"])
    read = make_fingerprint_reader(settings)
    assert len(read(tmp_path / "a.mp4.dubl", sampling=query_sampling(settings)).features.views) > 9


def test_what_is_missing_is_named_with_its_extra(thin: Path, tmp_path: Path) -> None:
    told = _run([thin / "bin" / "python", "-c", LOCAL], folder=tmp_path)
    assert told.startswith("extra_missing")
    assert "pip install 'dubl[serve]'" in told
    command = subprocess.run([thin / "bin" / "dubl"], capture_output=True, text=True, check=False)
    assert command.returncode == 2
    (line,) = command.stderr.splitlines()
    assert "pip install 'dubl[cli]'" in line
