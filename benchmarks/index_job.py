"""The indexing job beside the same step objects in plain processes.

    python -m benchmarks.index_job [clips of the smaller archive, of the larger one]

Both index a smaller and a larger archive, and the difference counts: starting Ray, loading networks
and the last commit take the same time in both. Two processes decode and describe in the plain run,
which its parent writes. CPU time is that of all processes; it is the figure to look at on a machine
that does other work.
"""

from __future__ import annotations

import logging
import multiprocessing
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event, Semaphore
from pathlib import Path

import numpy as np
import ray

from benchmarks.results import Figure, at_least, at_most, plain, run
from benchmarks.usage import Spent, watching
from dubl.assembly import make_store
from dubl.evaluation.report.writing import machine
from dubl.footage.scenes import generate_library
from dubl.index.keys import read_keys
from dubl.settings import Settings, load_settings
from pipelines.archive_source import open_archive
from pipelines.archive_stages import DecodeStage, EmbedStage, Row, packs
from pipelines.archive_writer import ArchiveWriter
from pipelines.cluster import Cluster, connect
from pipelines.index_archive import BATCH_VIDEOS, index_archive

AIM = 0.85
FLAT = 0.9
FLAT_MEMORY = 1.1
ORIGINALS = 4
CLIP_S = 15.0
CLIP_SIZE = (640, 360)
PROCESSES = 2

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of indexing one archive. `most_bytes`: memory of all processes at its highest (PSS)."""

    videos: int
    wall_s: float
    cpu_s: float
    most_bytes: int = 0

    @classmethod
    def of(cls, seen: Spent, *, videos: int) -> Cost:
        return cls(videos=videos, **asdict(seen))

    def __sub__(self, other: Cost) -> Cost:
        return Cost(
            videos=self.videos - other.videos,
            wall_s=self.wall_s - other.wall_s,
            cpu_s=self.cpu_s - other.cpu_s,
        )


def make_archives(folder: Path, sizes: tuple[int, ...]) -> list[Path]:
    """Archives of these sizes: few videos, each copy with bytes of its own behind its end."""
    originals = generate_library(
        folder / "originals",
        count=ORIGINALS,
        seed=5,
        size=CLIP_SIZE,
        shortest_s=CLIP_S,
        longest_s=CLIP_S,
    )
    archives = []
    for size in sizes:
        archive = folder / f"archive {size}"
        archive.mkdir()
        for number, original in enumerate(islice(cycle(originals), size)):
            copy = archive / f"{number:05}{original.suffix}"
            copy.write_bytes(original.read_bytes() + f"copy {number}".encode())
        archives.append(archive)
    return archives


def plain_run(archive: Path, settings: Settings) -> Cost:
    """Two processes and their parent, without Ray; their start is not counted."""
    context = multiprocessing.get_context("spawn")
    rows: Queue[Row | None] = context.Queue(maxsize=BATCH_VIDEOS)
    ready, go = context.Semaphore(0), context.Event()
    workers = [
        context.Process(target=_work, args=(archive, settings, share, rows, ready, go))
        for share in range(PROCESSES)
    ]
    for worker in workers:
        worker.start()
    for _ in workers:
        ready.acquire()
    writer = ArchiveWriter(make_store(settings), library="main", batch_videos=BATCH_VIDEOS)
    with watching() as seen:
        go.set()
        running = PROCESSES
        while running:
            row = rows.get()
            if row is None:
                running -= 1
            else:
                writer.add(row)
        writer.flush()
    for _ in workers:
        ready.release()
    for worker in workers:
        worker.join()
    return Cost.of(seen, videos=writer.counts.registered)


def ray_run(archive: Path, settings: Settings) -> Cost:
    """The job, on a cluster of this process."""
    cluster = connect("")
    try:
        return _ray_cost(archive, settings, cluster)
    finally:
        ray.shutdown()


def _ray_cost(archive: Path, settings: Settings, cluster: Cluster) -> Cost:
    store = make_store(settings)
    source = open_archive(str(archive))
    with watching() as seen:
        summary = index_archive(source, store, settings, cluster, library="main")
    return Cost.of(seen, videos=summary.registered)


def _work(
    archive: Path,
    settings: Settings,
    share: int,
    rows: Queue[Row | None],
    ready: Semaphore,
    go: Event,
) -> None:
    """Decodes and describes every second video."""
    known = read_keys(make_store(settings, read_only=True).tables)
    decode, embed = DecodeStage(settings, known, "main"), EmbedStage(settings)
    ready.release()
    go.wait()
    items = list(open_archive(str(archive)))[share::PROCESSES]
    for pack in packs(items, known):
        for listed in pack.to_pylist():
            for row in decode(listed):
                rows.put(_embedded(row, embed))
    rows.put(None)
    ready.acquire()  # its CPU time is read while it lives


def _embedded(row: Row, embed: EmbedStage) -> Row:
    batch = {name: np.array([value], dtype=object) for name, value in row.items()}
    return {name: values[0] for name, values in embed(batch).items()}


def figures(costs: dict[str, list[Cost]], setup: str) -> Iterator[Figure]:
    """Ratios of what the larger archives took beyond the smaller ones."""
    ray, alone = costs["ray"][-1] - costs["ray"][0], costs["plain"][-1] - costs["plain"][0]
    rate, alone_rate = ray.videos / ray.wall_s, alone.videos / alone.wall_s
    yield at_least(
        "indexing job: clips/s over plain processes", rate / alone_rate, AIM, unit="×", setup=setup
    )
    yield at_least(
        "indexing job: CPU seconds of plain processes over its own",
        alone.cpu_s * ray.videos / (ray.cpu_s * alone.videos),
        AIM,
        unit="×",
        setup=setup,
    )
    yield plain("indexing job: CPU seconds a clip", ray.cpu_s / ray.videos, unit="s", setup=setup)
    first, middle, last = costs["ray"]
    early, late = middle - first, last - middle
    yield at_least(
        "indexing job: clips a CPU second, second half over first half of a growing library",
        (late.videos / late.cpu_s) / (early.videos / early.cpu_s),
        FLAT,
        unit="×",
        setup=setup,
    )
    yield at_most(
        "indexing job: most memory, largest archive over smallest",
        last.most_bytes / first.most_bytes,
        FLAT_MEMORY,
        unit="×",
        setup=f"{last.most_bytes / 1e9:.2f} over {first.most_bytes / 1e9:.2f} GB (PSS); {setup}",
    )


def measure() -> Iterator[Figure]:
    small, large = (int(text) for text in sys.argv[1:] or ("40", "200"))
    costs: dict[str, list[Cost]] = {}
    with tempfile.TemporaryDirectory(prefix="dubl-index-") as home:
        folder = Path(home)
        first, middle, last = make_archives(folder, (small, (small + large) // 2, large))
        runs = (("plain", plain_run, (first, last)), ("ray", ray_run, (first, middle, last)))
        for name, run_one, archives in runs:
            for archive in archives:
                data = folder / f"{name} {archive.name}"
                settings = load_settings(overrides=[f"data_dir={data}"], environment={})
                costs.setdefault(name, []).append(run_one(archive, settings))
                logger.info("%s %s", name, costs[name][-1])
    setup = (
        f"{machine()}; generated clips of {CLIP_S:g} s, {CLIP_SIZE[0]}×{CLIP_SIZE[1]}; "
        f"difference of {small} and {large} clips"
    )
    yield from figures(costs, setup)


if __name__ == "__main__":
    run("index_job", measure)
