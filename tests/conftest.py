"""Options and fixtures that every kind of test shares."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# A test marked as slow may wait as long for clusters and for what was killed; whoever runs on the
# shared service may have to wait for its start.
SLOW_TIMEOUT_S = 1200
SERVICE_TIMEOUT_S = 110
# Fixtures that start what a session has once.
SHARED_BY_MODULES = ("service", "ray_address")
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


@pytest.hookimpl(tryfirst=True)  # before a worker of xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Gives every test its timeout and its group: a worker of xdist runs a group alone and in
    order. Groups are modules; all modules that use the shared service are one, so that it is
    started once. What takes longest is begun first."""
    hurry: dict[str, int] = {}
    for item in items:
        shared = [name for name in SHARED_BY_MODULES if name in getattr(item, "fixturenames", ())]
        slow = item.get_closest_marker("slow") is not None
        own = config.getoption("timeout") is not None or item.get_closest_marker("timeout")
        if (slow or shared) and not own:
            item.add_marker(pytest.mark.timeout(SLOW_TIMEOUT_S if slow else SERVICE_TIMEOUT_S))
        group = shared[0] if shared else str(item.path.relative_to(REPOSITORY))
        item.add_marker(pytest.mark.xdist_group(group))
        hurry[item.nodeid] = 0 if group == "service" else 1 if slow else 2
    items.sort(key=lambda item: hurry[item.nodeid])


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
