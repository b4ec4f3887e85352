"""Options and fixtures that every kind of test shares."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# Ray reads it when it is imported, which may be while tests are collected.
os.environ.setdefault("RAY_AUTH_MODE", "token")

# A test marked as slow may wait as long for clusters and for what was killed.
SLOW_TIMEOUT_S = 1200
# Modules of tests/integration that share what a fixture starts once in a session.
SHARING = {
    f"tests/integration/test_{module}.py": fixture
    for fixture, modules in (
        ("service", ("console", "contract", "jobs", "service")),
        ("ray_address", ("dedupe_archive", "index_archive", "spaces", "train_workers")),
    )
    for module in modules
}
REPOSITORY = Path(__file__).resolve().parent.parent
SHARED = REPOSITORY.parent / "shared"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden",
        type=Path,
        default=SHARED / "golden",
        help="folder of golden numbers; every case in it is run (default: ../shared/golden)",
    )
    parser.addoption(
        "--chaos-rounds", type=int, default=3, help="how often the chaos test kills (default: 3)"
    )
    parser.addoption(
        "--chaos-broker",
        choices=("embedded", "rabbitmq"),
        default="embedded",
        help="who hands out jobs while the chaos test kills (default: embedded)",
    )
    parser.addoption(
        "--soak-minutes", type=float, default=1.0, help="how long the service is kept busy"
    )
    parser.addoption(
        "--cluster-kills",
        type=int,
        default=1,
        help="how often each node of the test cluster is killed (default: 1; from 2 on what takes "
        "ten minutes is tested too)",
    )
    parser.addoption(
        "--index-kills",
        type=int,
        default=2,
        help="how often an indexing job is killed (default: 2)",
    )
    parser.addoption(
        "--fuzz",
        type=int,
        default=100,
        help="how many mutated files the decoder is given (default: 100)",
    )


def pytest_configure(config: pytest.Config) -> None:
    golden: Path = config.getoption("--golden")
    if golden != SHARED / "golden" and not golden.is_dir():
        raise pytest.UsageError(f"--golden: there is no folder {golden}")


def pytest_itemcollected(item: pytest.Item) -> None:
    """What is slow has more time."""
    chosen = item.config.getoption("timeout") is not None or item.get_closest_marker("timeout")
    if item.get_closest_marker("slow") and not chosen:
        item.add_marker(pytest.mark.timeout(SLOW_TIMEOUT_S))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest is begun first."""

    def place(item: pytest.Item) -> int:
        if SHARING.get(item.nodeid.split("::", 1)[0]) == "service":
            return 0
        return 1 if item.get_closest_marker("slow") else 2

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """A process runs a module alone and in order, and modules that share what is started, too."""
    from xdist.scheduler import LoadScopeScheduling

    class ByModule(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.split("::", 1)[0]
            return SHARING.get(path, path)

    return ByModule(config, log)


@pytest.fixture(scope="session", autouse=True)
def _ray_folder() -> Iterator[None]:
    """Each process of pytest has its own for Ray's sessions. Paths of sockets are limited."""
    with tempfile.TemporaryDirectory(
        prefix="ray-", dir="/tmp", ignore_cleanup_errors=True
    ) as folder:
        os.environ["RAY_TMPDIR"] = folder
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with real clips and images; skips where this machine has none."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"real clips are absent: {folder} does not exist")
    return folder
