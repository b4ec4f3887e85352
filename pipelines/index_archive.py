"""Bulk registration with Ray Data: decode → embed → write, by the same steps as the service.

    python -m pipelines.index_archive ARCHIVE --data ./data

Restartable: what is in the library already is not decoded again. A video that fails is a row in
the `failures` table; the job goes on and fails only above --max-failure-rate.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from dubl.assembly import make_decoder, make_embedder, make_store, reference_sampling
from dubl.errors import DublError
from dubl.index.store import Entry, Failure, LibraryStore
from dubl.media.sources import hash_file
from dubl.settings import Settings, load_settings
from dubl.types import FrameClip, ReferenceDraft, VideoFeatures, VideoSource
from pipelines.archive_source import ArchiveItem, list_archive

logger = logging.getLogger(__name__)

Row = dict[str, object]
Batch = dict[str, np.ndarray]

WRITE_BATCH = 64
EMBED_BATCH = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What one run did."""

    found: int
    present_before: int
    registered: int
    same_as_another: int
    failed: int
    seconds: float

    @property
    def failure_rate(self) -> float:
        return self.failed / self.found if self.found else 0.0


class DecodeStage:
    """{"id", "path"} → adds "source" and "clip", pickled, or "error", a pair of code and detail."""

    def __init__(self, settings: Settings) -> None:
        self._decoder = make_decoder(settings)
        self._sampling = reference_sampling(settings)

    def __call__(self, row: Row) -> Row:
        try:
            source = _source(Path(str(row["path"])))
            clip = self._decoder.decode(source, sampling=self._sampling)
        except DublError as exc:
            return row | {"source": b"", "clip": b"", "error": pickle.dumps((exc.code, exc.detail))}
        return row | {"source": pickle.dumps(source), "clip": pickle.dumps(clip), "error": b""}


class EmbedStage:
    """Replaces "clip" by "features", pickled."""

    def __init__(self, settings: Settings) -> None:
        self._embedder = make_embedder(settings)

    def __call__(self, batch: Batch) -> Batch:
        clips = batch.pop("clip")
        readable = [index for index, clip in enumerate(clips) if clip]
        loaded: list[FrameClip] = [pickle.loads(clips[index]) for index in readable]
        features = np.full(len(clips), b"", dtype=object)
        for index, described in zip(readable, self._embedder.embed(loaded), strict=True):
            features[index] = pickle.dumps(described)
        return batch | {"features": features}


def index_archive(
    items: list[ArchiveItem], store: LibraryStore, settings: Settings, *, library: str, workers: int
) -> Summary:
    """Runs the job on the Ray cluster that this process is connected to."""
    started = time.monotonic()
    present = store.present_ids([item.id for item in items])
    wanted = [item for item in items if item.id not in present]
    created = repeated = failed = 0
    if wanted:
        for batch in _described(wanted, settings, workers=workers):
            entries, failures = _split(batch, library)
            registrations = store.register(entries)
            store.record_failures(failures)
            created += sum(registration.created for registration in registrations)
            repeated += sum(not registration.created for registration in registrations)
            failed += len(failures)
            logger.info(
                "%d of %d done, %d failed", created + repeated + failed, len(wanted), failed
            )
        store.optimize()
    return Summary(
        found=len(items),
        present_before=len(items) - len(wanted),
        registered=created,
        same_as_another=repeated,
        failed=failed,
        seconds=round(time.monotonic() - started, 1),
    )


def _source(path: Path) -> VideoSource:
    """An archive's file as it lies there. Raises SourceNotFound."""
    sha256 = hash_file(path)
    return VideoSource(
        path=str(path), sha256=sha256, size_bytes=path.stat().st_size, name=str(path)
    )


def _described(items: list[ArchiveItem], settings: Settings, *, workers: int) -> Iterable[Batch]:
    import ray.data

    # Bars on a terminal; in a log our own line a batch says enough.
    ray.data.DataContext.get_current().enable_progress_bars = sys.stderr.isatty()
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    # Shares of a CPU: two pools of whole CPUs leave none for reading on two cores, and hang.
    rows = ray.data.from_items([asdict(item) for item in items], override_num_blocks=len(items))
    decoded = rows.map(
        DecodeStage,
        fn_constructor_args=(settings,),
        num_cpus=0.4,
        compute=ray.data.ActorPoolStrategy(size=workers),
    )
    described = decoded.map_batches(
        EmbedStage,
        fn_constructor_args=(settings,),
        batch_size=EMBED_BATCH,
        batch_format="numpy",
        num_cpus=0.4,
        compute=ray.data.ActorPoolStrategy(size=1),
    )
    batches: Iterable[Batch] = described.iter_batches(batch_size=WRITE_BATCH, batch_format="numpy")
    return batches


def _split(batch: Batch, library: str) -> tuple[list[Entry], list[Failure]]:
    entries: list[Entry] = []
    failures: list[Failure] = []
    columns = (batch[name] for name in ("id", "path", "source", "features", "error"))
    for identifier, path, source, features, error in zip(*columns, strict=True):
        if error:
            code, detail = pickle.loads(error)
            failures.append(Failure(path=str(path), code=code, detail=detail))
            continue
        described: VideoFeatures = pickle.loads(features)
        file: VideoSource = pickle.loads(source)
        draft = ReferenceDraft(id=str(identifier), library=library, title=Path(path).stem)
        entries.append(Entry(draft=draft, source=file, features=described))
    return entries, failures


def main(
    archive: Annotated[Path, typer.Argument(help="folder of videos, or a list of paths")],
    config: Annotated[Path, typer.Option()] = Path("configs/local.yaml"),
    data: Annotated[Path | None, typer.Option(help="overrides data_dir")] = None,
    library: Annotated[str, typer.Option()] = "main",
    workers: Annotated[int, typer.Option(help="decoders")] = 2,
    max_failure_rate: Annotated[float, typer.Option(min=0, max=1)] = 0.1,
    overrides: Annotated[list[str] | None, typer.Option("--set")] = None,
) -> None:
    """Registers every video of ARCHIVE and prints a JSON summary."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    chosen = [f"data_dir={data}"] if data is not None else []
    settings = load_settings(config, [*chosen, *(overrides or [])])
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "180")
    import ray

    try:
        items = list_archive(archive)
        # Ray forks, and LanceDB must not be forked: the store is opened after it has started.
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        store = make_store(settings)
        summary = index_archive(items, store, settings, library=library, workers=workers)
    except DublError as exc:
        typer.echo(f"{exc.code}: {exc.detail} {exc.hint}", err=True)
        raise typer.Exit(code=2) from exc
    typer.echo(json.dumps(asdict(summary)))
    if summary.failure_rate > max_failure_rate:
        typer.echo(f"{summary.failed} of {summary.found} videos failed", err=True)
        raise typer.Exit(code=1)


if __name__ == "__main__":
    typer.run(main)
