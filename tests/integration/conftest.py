"""A service and a few clips, made once for all integration tests."""

from __future__ import annotations

import dataclasses
import faulthandler
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from dubl.evaluation.attack_suite import SuiteOptions, write_suite
from dubl.evaluation.suite import QUERIES, REFERENCES, SuiteRoles, SuiteTruth
from dubl.footage.scenes import generate_library
from pipelines.local_server import running_server
from tests.support import spans
from tests.support.ray_cluster import ray_cluster
from tests.support.service import Client

WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Clips:
    """References and queries with their truth."""

    folder: Path
    truth: SuiteTruth

    @property
    def references(self) -> list[Path]:
        return [self.folder / REFERENCES / name for name in self.truth.references]

    def queries(self, attack: str) -> list[Path]:
        found = self.truth.queries.items()
        return [self.folder / QUERIES / name for name, query in found if query.attack == attack]


@pytest.fixture(scope="session", autouse=True)
def _ray_environment(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "180")
    # Metrics are there a second after they were counted, not ten.
    os.environ["RAY_metrics_report_interval_ms"] = "1000"
    os.environ["RAY_SERVE_METRICS_EXPORT_INTERVAL_MS"] = "1000"
    os.environ["RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH"] = "tests.support.spans:exporters"
    os.environ[spans.FOLDER] = str(tmp_path_factory.mktemp("spans"))
    os.environ["DUBL__WEBHOOKS__SECRET"] = WEBHOOK_SECRET


@pytest.fixture(scope="session")
def clips_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="session")
def clips(clips_folder: Path) -> Clips:
    folder = clips_folder
    made = generate_library(
        folder / "made", count=5, seed=3, size=(320, 180), shortest_s=8, longest_s=12
    )
    roles = SuiteRoles(references=tuple(made[:3]), strangers=tuple(made[3:]))
    options = SuiteOptions(edits=("recode:0.3", "trim:0.4"), per_reference=0)
    truth = write_suite(folder / "suite", roles, options=options)
    return Clips(folder=folder / "suite", truth=truth)


@pytest.fixture(scope="session")
def service_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The service's data folder."""
    return tmp_path_factory.mktemp("service")


@contextmanager
def _untimed() -> Iterator[None]:
    """Stops the clock of the test that happens to be the first: a start has a limit of its own."""
    faulthandler.cancel_dump_traceback_later()
    left_s, _ = signal.setitimer(signal.ITIMER_REAL, 0)
    yield
    signal.setitimer(signal.ITIMER_REAL, left_s)


@pytest.fixture(scope="session")
def service(service_data: Path, clips_folder: Path) -> Iterator[str]:
    """A running service that may read the references' folder and private addresses: the only one
    of the first tier. `address` is its address, unless a module has its own."""
    overrides = [
        f"media.allowed_roots=[{clips_folder}]",
        "media.allow_private_addresses=true",
    ]
    with ExitStack() as running:
        with _untimed():
            server = running_server(service_data, overrides=overrides)
            address = running.enter_context(server)
        yield address


@pytest.fixture(scope="session")
def address(service: str) -> str:
    return service


@pytest.fixture(scope="session")
def client(address: str) -> Iterator[Client]:
    with Client(address) as client:
        yield client


@pytest.fixture(scope="session")
def ray_address(tmp_path_factory: pytest.TempPathFactory, _ray_environment: None) -> Iterator[str]:
    """A node on which jobs run that need none of their own: as RAY_ADDRESS it saves each of them
    Ray's start."""
    with ray_cluster(tmp_path_factory.mktemp("ray"), {}) as cluster:
        cluster.start_head("--num-cpus=2", "--num-gpus=0", "--include-dashboard=false")
        yield cluster.address


@pytest.fixture
def _joined(ray_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs that a test starts join that node."""
    monkeypatch.setenv("RAY_ADDRESS", ray_address)
