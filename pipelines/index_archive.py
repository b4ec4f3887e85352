"""Bulk registration with Ray Data: decode → embed → write, with the same steps as the service.

    python -m pipelines.index_archive ARCHIVE --data ./data

ARCHIVE is a folder, a glob, a list (text, CSV, Parquet) or an object-store prefix. The job can be
restarted: videos in the library are not decoded again. A failed video is a row in the `failures`
table; the job continues and fails only above --max-failure-rate.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import ray
import ray.data
import typer

from dubl.assembly import challenger_settings, make_store
from dubl.index.clock import utc_text
from dubl.index.keys import KnownKeys, read_keys
from dubl.index.store import LibraryStore
from dubl.settings import Settings
from pipelines.archive_source import Archive, open_archive
from pipelines.archive_stages import EMBED_BATCH, EmbedStage, Listing, SharingDecodeStage
from pipelines.archive_writer import ArchiveWriter
from pipelines.cli.options import ClusterAddress, on_settings
from pipelines.cluster import Cluster, connect, domain_error, prepare_data

logger = logging.getLogger(__name__)

# Shares of a CPU: two pools of whole CPUs leave none for reading on two cores, and hang.
STAGE_CPUS = 0.4
LISTING_CPUS = 0.1
BATCH_VIDEOS = 64
SHOWN_FAILURES = 20  # chosen, a screen


class Space(StrEnum):
    """The feature space to fill."""

    MODEL = "model"
    CANDIDATE = "candidate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The results of one run. `same_id_elsewhere`: present videos that were registered from another
    place; the archive was moved, or another one has the same names. `sound_added`: references that
    were registered before there was sound, and took theirs. `not_registered`: videos skipped in a
    candidate's space, as the answering space does not have them, and those whose file has changed.
    `passed_over`: files that are no videos.
    """

    found: int
    present_before: int
    same_id_elsewhere: int
    registered: int
    sound_added: int
    same_as_another: int
    failed: int
    not_registered: int
    passed_over: int
    failure_rate: float
    seconds: float


def index_archive(
    archive: Archive,
    store: LibraryStore,
    settings: Settings,
    cluster: Cluster,
    *,
    library: str,
    workers: int = 0,
    batch_videos: int = BATCH_VIDEOS,
    answering: LibraryStore | None = None,
) -> Summary:
    """Runs the job on the connected Ray cluster; `answering` as in ArchiveWriter.

    `workers`: number of decoders; 0: one for each CPU. Raises StoreUnavailable, and SourceError if
    the archive cannot be listed to its end; written references stay.
    """
    started = time.monotonic()
    known = read_keys(store.tables, store.sound)
    writer = ArchiveWriter(
        store, library=library, batch_videos=batch_videos, known=known, answering=answering
    )
    try:
        rows = _described(archive, settings, cluster, known, library=library, workers=workers)
        for row in rows:
            writer.add(row)
    except ray.exceptions.RayError as exc:
        raise domain_error(exc) from exc
    finally:
        writer.flush()
    counts = writer.counts
    if counts.registered or counts.heard:
        store.optimize()
    found = counts.present + counts.done
    return Summary(
        found=found,
        present_before=counts.present,
        same_id_elsewhere=counts.elsewhere,
        registered=counts.registered,
        sound_added=counts.heard,
        same_as_another=counts.repeated,
        failed=counts.failed,
        not_registered=counts.left_out,
        passed_over=counts.passed_over,
        failure_rate=round(counts.failed / found, 4) if found else 0.0,
        seconds=round(time.monotonic() - started, 1),
    )


def _described(
    archive: Archive,
    settings: Settings,
    cluster: Cluster,
    known: KnownKeys,
    *,
    library: str,
    workers: int,
) -> Iterable[Mapping[str, object]]:
    prepare_data(cluster)
    shared = ray.put(known)
    listed = ray.data.read_datasource(
        Listing(archive, shared), override_num_blocks=1, num_cpus=LISTING_CPUS
    )
    decoded = listed.flat_map(
        SharingDecodeStage,
        fn_constructor_args=(settings, shared, library),
        num_cpus=STAGE_CPUS,
        compute=ray.data.ActorPoolStrategy(size=workers or max(2, cluster.cpus)),
    )
    on_gpu = cluster.gpus > 0 and settings.model.device != "cpu"
    described = decoded.map_batches(
        EmbedStage,
        fn_constructor_args=(settings,),
        batch_size=EMBED_BATCH,
        batch_format="numpy",
        num_cpus=STAGE_CPUS,
        num_gpus=1 if on_gpu else 0,
        compute=ray.data.ActorPoolStrategy(
            min_size=1, max_size=cluster.gpus if on_gpu else max(1, cluster.cpus // 2)
        ),
    )
    rows: Iterable[Mapping[str, object]] = described.iter_rows()
    return rows


@on_settings
def main(
    settings: Settings,
    archive: Annotated[str, typer.Argument(help="folder, glob, list or object-store prefix")],
    library: Annotated[str, typer.Option()] = "main",
    id_prefix: Annotated[
        str, typer.Option(help="prefix of ids, for archives with equal file names")
    ] = "",
    workers: Annotated[int, typer.Option(help="decoders; 0: one for each CPU", min=0)] = 0,
    batch_videos: Annotated[int, typer.Option(help="videos of one commit", min=1)] = BATCH_VIDEOS,
    max_failure_rate: Annotated[float, typer.Option(min=0, max=1)] = 0.1,
    space: Annotated[
        Space, typer.Option(help="feature space: of model.weights, or of the candidate")
    ] = Space.MODEL,
    address: ClusterAddress = "",
) -> None:
    """Registers every video of ARCHIVE and prints a JSON summary."""
    items = open_archive(archive, id_prefix=id_prefix)
    # Ray forks, and LanceDB must not be forked: the store is opened after it has started.
    cluster = connect(address)
    fills = space is Space.CANDIDATE
    answering = make_store(settings, read_only=True) if fills else None
    settings = challenger_settings(settings) if fills else settings
    store, begun = make_store(settings), utc_text(datetime.now(UTC))
    summary = index_archive(
        items,
        store,
        settings,
        cluster,
        library=library,
        workers=workers,
        batch_videos=batch_videos,
        answering=answering,
    )
    typer.echo(json.dumps(asdict(summary)))
    if summary.same_id_elsewhere and not fills:
        logger.warning(
            "%d videos have the ids of references registered from other places and were left out; "
            "if they are other videos, give this archive an --id-prefix",
            summary.same_id_elsewhere,
        )
    if summary.failed:
        _tell_failures(store, begun)
    if summary.failure_rate > max_failure_rate:
        typer.echo(f"{summary.failed} of {summary.found} videos failed", err=True)
        raise typer.Exit(code=1)


def _tell_failures(store: LibraryStore, since: str) -> None:
    """Names the first videos that failed since a time."""
    found = [one for one in store.failures() if one.created_at >= since]
    for one in found[:SHOWN_FAILURES]:
        typer.echo(f"{one.path}: {one.code}: {one.detail}", err=True)
    if len(found) > SHOWN_FAILURES:
        typer.echo("… `dubl references failures` lists all", err=True)


if __name__ == "__main__":
    typer.run(main)
