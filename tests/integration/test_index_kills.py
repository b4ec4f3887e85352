"""Indexing jobs that are killed, as often as --index-kills says."""

from __future__ import annotations

import logging
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pyarrow.compute as pc
import pytest

from dubl.assembly import make_store
from dubl.footage.scenes import generate_library
from dubl.index.schema import REFERENCES
from dubl.settings import load_settings

pytestmark = pytest.mark.slow

VIDEOS = 16
BATCH = 2
START_S = 20.0
BETWEEN_COMMITS_S = 0.5
SEED = 7
# The job's own log, emptied by each start: Ray gives its agent 15 s to write a file.
RAY_TOO_SLOW = "The current node timed out during startup"

Tables = dict[str, tuple[str, int, int]]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Undisturbed:
    archive: Path
    tables: Tables


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """An archive, and what a job makes of it that nobody kills."""
    folder = tmp_path_factory.mktemp("kills")
    archive = folder / "archive"
    generate_library(archive, count=VIDEOS, seed=4, size=(160, 90), shortest_s=2, longest_s=4)
    job = start_job(archive, folder / "data")
    assert job.wait() == 0, job_log(folder / "data")
    tables = tables_of(folder / "data")
    assert len(tables) == VIDEOS
    return Undisturbed(archive=archive, tables=tables)


def test_killed_jobs_leave_the_tables_of_an_undisturbed_one(
    undisturbed: Undisturbed, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """Every other kill hits the driver, after which the job is run again; the others hit one of
    its workers, and the job itself must go on."""
    rng = random.Random(SEED)
    for number in range(pytestconfig.getoption("--index-kills")):
        data = tmp_path / f"data {number}"
        job = start_job(undisturbed.archive, data)
        kill_driver = number % 2 == 0
        victim = kill_at_random(job, rng, data, driver=kill_driver)
        logger.info("kill %d: %s, after %d commits", number, victim, commits_in(data))
        if kill_driver:
            job.wait()
            job = start_job(undisturbed.archive, data)
        while job.wait() != 0:
            assert RAY_TOO_SLOW in job_log(data), job_log(data)
            logger.info("Ray did not start on a busy machine; the job is run again")
            job = start_job(undisturbed.archive, data)
        assert tables_of(data) == undisturbed.tables, f"after killing {victim}"


def start_job(archive: Path, data: Path) -> subprocess.Popen[bytes]:
    data.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "pipelines.index_archive", str(archive), "--data", str(data)]
    command += ["--batch-videos", str(BATCH), "--max-failure-rate", "0"]
    with (data / "job.log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)


def job_log(data: Path) -> str:
    return (data / "job.log").read_text(errors="replace")[-4000:]


def kill_at_random(
    job: subprocess.Popen[bytes], rng: random.Random, data: Path, *, driver: bool
) -> str:
    """Kills after a number of commits that is drawn by chance, and a moment more; a job that is
    faster is left. By a share of its time most kills would hit Ray's start."""
    commits = rng.randrange(VIDEOS // BATCH)
    moment_s = rng.uniform(0, BETWEEN_COMMITS_S if commits else START_S)
    while job.poll() is None and commits_in(data) < commits:
        time.sleep(0.02)
    try:
        job.wait(moment_s)
    except subprocess.TimeoutExpired:
        process = psutil.Process(job.pid)
        children = process.children(recursive=True)
        if driver:
            process.kill()
            _, alive = psutil.wait_procs(children, timeout=60)
            for child in alive:
                child.kill()
            # Nothing of the killed cluster is left when the next one starts.
            psutil.wait_procs(alive, timeout=60)
            return "the driver"
        while job.poll() is None:
            workers = [child for child in process.children(recursive=True) if _is_worker(child)]
            if workers:
                victim = rng.choice(workers)
                name = _command(victim)
                victim.kill()
                return name
            time.sleep(0.05)  # none has started yet
    return "nobody"


def commits_in(data: Path) -> int:
    """Batches that have been committed: an empty table has one version."""
    versions = data / "library" / f"{REFERENCES}.lance" / "_versions"
    return len(list(versions.glob("*.manifest"))) - 1


def _is_worker(process: psutil.Process) -> bool:
    """Processes that do the job's work: not the agents of the cluster, with which its node ends."""
    command = _command(process)
    return "Map" in command.partition(" ")[0] or "decode_worker" in command


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())[:80]
    except psutil.Error:
        return ""


def tables_of(data: Path) -> Tables:
    """By id: sha256, frame count, rows in `frames`. Ids and sums must be there once."""
    if not (data / "library").is_dir():
        return {}
    store = make_store(load_settings(overrides=[f"data_dir={data}"], environment={}))
    references = store.list(limit=1000).items
    assert len({one.id for one in references}) == len(references)
    assert len({one.sha256 for one in references}) == len(references)
    owners = store.tables.frames.search().select(["reference_id"]).to_arrow()["reference_id"]
    rows = {one["values"]: one["counts"] for one in pc.value_counts(owners).to_pylist()}
    return {one.id: (one.sha256, one.frame_count, rows.get(one.id, 0)) for one in references}
