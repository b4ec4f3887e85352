"""Finds all duplicates inside a library, from its stored features.

    python -m pipelines.dedupe_archive --data ./data --out duplicates/

First, similar references are searched for each reference; then each pair is compared once, with
pixels where the files can be read. Both continue after an interruption, and include new references.
OUT gets `duplicates.parquet`, `duplicates.csv`, `duplicates.html` and the job's state
`pairs.duckdb`. The console shows the clusters, too.
"""

from __future__ import annotations

import json
import logging
import pickle
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated, Generic, TypeVar

import ray
import ray.data
import typer

from dubl.assembly import feature_spec, make_decoder, make_reranker, make_retriever, make_store
from dubl.index.duplicates import write_duplicates
from dubl.index.keys import read_ids
from dubl.index.reading import batched, chunks
from dubl.index.store import LibraryStore
from dubl.settings import Settings
from dubl.types import Candidate, CandidateSet, Match, VideoFeatures
from pipelines.archive_stages import loaded
from pipelines.cli.options import ClusterAddress, on_settings
from pipelines.cluster import Cluster, connect, domain_error, prepare_data
from pipelines.duplicates import Cluster as DuplicateCluster
from pipelines.duplicates import (
    ComparedPair,
    DuplicatePairs,
    connected,
    make_cluster,
    shown_clusters,
    write_page,
    write_tables,
)
from pipelines.pixel_check import PixelCheck

logger = logging.getLogger(__name__)

Row = dict[str, object]
Found = tuple[str, Sequence[str]]
Item = TypeVar("Item")

STAGE_CPUS = 0.8
IDS_AT_ONCE = 4096
TASKS_AT_ONCE = 8192
IDS_PER_TASK = 8
SAVED_ROWS = 64
SAVED_S = 10.0


class Stage(ABC, Generic[Item]):
    """A row {"ids"} → {"found"}, both pickled lists."""

    def __call__(self, row: Row) -> Row:
        return {"found": pickle.dumps(self.results(loaded(row["ids"])))}

    @abstractmethod
    def results(self, ids: Sequence[str]) -> list[Item]: ...


class SearchStage(Stage[Found]):
    """For each id, the id and the ids of its candidates."""

    def __init__(self, settings: Settings, library: str) -> None:
        self._library = library
        self._store = make_store(settings, read_only=True)
        self._retriever = make_retriever(settings)
        self._limit = settings.matching.rerank_candidates

    def results(self, ids: Sequence[str]) -> list[Found]:
        features = self._store.read_features(ids)
        return [(one, self._candidates(one, features[one])) for one in features]

    def _candidates(self, reference_id: str, features: VideoFeatures) -> list[str]:
        found = self._retriever.retrieve(
            features, libraries=[self._library], exclude_ids=[reference_id]
        )
        # The retriever adds common material, which is of other libraries.
        own = [one.reference_id for one in found.candidates if one.library == self._library]
        return own[: self._limit]


class CompareStage(Stage[ComparedPair]):
    """The first id, as the query, compared with each of the others.

    Pixels of pairs that would be duplicates are compared too, where both files can be read.
    """

    def __init__(self, settings: Settings, library: str) -> None:
        self._library = library
        self._store = make_store(settings, read_only=True)
        self._reranker = make_reranker(settings)
        self._pixels = PixelCheck(settings)

    def results(self, ids: Sequence[str]) -> list[ComparedPair]:
        query, *others = ids
        features = self._store.read_features([query]).get(query)
        matches = () if features is None else self._matches(features, others)
        facts = {one.id: one for one in self._store.existing(ids=ids)} if matches else {}
        found = {
            match.reference_id: self._pixels.checked(facts[query], match, facts)
            for match in matches
            if query in facts
        }
        # One of them may have been deleted since: then they share nothing.
        return [_compared(query, other, found.get(other)) for other in others]

    def _matches(self, features: VideoFeatures, others: Sequence[str]) -> tuple[Match, ...]:
        candidates = tuple(
            Candidate(reference_id=other, library=self._library, score=0.0, hits=())
            for other in others
        )
        asked = CandidateSet(candidates=candidates, index_version=0)
        return self._reranker.rerank(features, asked).matches


def dedupe(
    pairs: DuplicatePairs,
    store: LibraryStore,
    settings: Settings,
    cluster: Cluster,
    *,
    library: str,
) -> list[DuplicateCluster]:
    """Runs the remaining searches and comparisons, and returns the clusters.

    Raises StoreUnavailable; results so far are kept.
    """
    prepare_data(cluster)
    for ids in chunks(read_ids(store.tables, library=library), IDS_AT_ONCE):
        wanted = list(chunks(pairs.unsearched(ids), IDS_PER_TASK))
        found = _run(wanted, SearchStage, settings, cluster, library=library)
        _save(found, pairs.add_candidates, "searched for")
    for tasks in batched(_comparisons(pairs.uncompared(), settings), TASKS_AT_ONCE):
        compared = _run(tasks, CompareStage, settings, cluster, library=library)
        _save(compared, pairs.add_compared, "compared")
    return clusters_of(pairs, store, min_probability=settings.policy.duplicate_probability)


def clusters_of(
    pairs: DuplicatePairs, store: LibraryStore, *, min_probability: float
) -> list[DuplicateCluster]:
    """Clusters over pairs of at least this probability, largest first."""
    made = []
    for component in connected(pairs.matches(min_probability=min_probability)):
        ids = {identity for pair in component for identity in (pair.a, pair.b)}
        references = {reference.id: reference for reference in store.existing(ids=ids)}
        left = [pair for pair in component if {pair.a, pair.b} <= references.keys()]
        made += [make_cluster(part, references) for part in connected(left)]
    return sorted((one for one in made if one), key=lambda one: -len(one.members))


def _comparisons(pairs: Iterable[tuple[str, str]], settings: Settings) -> Iterator[list[str]]:
    """A query's id, and the ids of as many others as the service compares at once."""
    size = settings.matching.rerank_candidates
    for query, group in groupby(pairs, key=lambda pair: pair[0]):
        for others in batched((other for _, other in group), size):
            yield [query, *others]


def _run(
    tasks: Sequence[Sequence[str]],
    stage: type[Stage[Item]],
    settings: Settings,
    cluster: Cluster,
    *,
    library: str,
) -> Iterator[Item]:
    """The results of the stage, in any order."""
    if not tasks:
        return
    rows = [{"ids": pickle.dumps(list(ids))} for ids in tasks]
    try:
        found = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
            stage,
            fn_constructor_args=(settings, library),
            num_cpus=STAGE_CPUS,
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=max(1, cluster.cpus)),
        )
        for row in found.iter_rows():
            yield from loaded(row["found"])
    except ray.exceptions.RayError as exc:
        raise domain_error(exc) from exc


def _save(found: Iterable[Item], save: Callable[[Sequence[Item]], None], what: str) -> None:
    """Saves results as they arrive, also if later ones fail."""
    waiting: list[Item] = []
    total, saved_at = 0, time.monotonic()
    try:
        for one in found:
            waiting.append(one)
            if len(waiting) >= SAVED_ROWS or time.monotonic() - saved_at >= SAVED_S:
                save(waiting)
                total, waiting, saved_at = total + len(waiting), [], time.monotonic()
                logger.info("%d %s", total, what)
    finally:
        save(waiting)


def _compared(query: str, other: str, match: Match | None) -> ComparedPair:
    if match is None:
        return ComparedPair(a=query, b=other, probability=0.0, similarity=0.0)
    return ComparedPair(
        a=query,
        b=other,
        probability=match.probability,
        similarity=match.similarity,
        segments=match.segments,
    )


@on_settings
def main(
    settings: Settings,
    out: Annotated[Path, typer.Option(help="folder of the report; an unfinished one is continued")],
    library: Annotated[str, typer.Option()] = "main",
    address: ClusterAddress = "",
) -> None:
    """Writes the report and prints a JSON summary."""
    started = time.monotonic()
    # Ray forks, and LanceDB must not be forked: the store is opened after it has started.
    cluster = connect(address)
    store = make_store(settings, read_only=True)
    space_id = feature_spec(settings).space_id
    with DuplicatePairs(out / "pairs.duckdb", library=library, space_id=space_id) as pairs:
        clusters = dedupe(pairs, store, settings, cluster, library=library)
        searched, compared = pairs.counts()
    write_tables(clusters, out)
    write_page(clusters, out, decoder=make_decoder(settings))
    write_duplicates(settings.data_dir, library, shown_clusters(clusters))
    summary = {
        # Of all runs.
        "searched": searched,
        "compared": compared,
        "clusters": len(clusters),
        "copies": sum(len(one.members) - 1 for one in clusters),
        "seconds": round(time.monotonic() - started, 1),
    }
    typer.echo(json.dumps(summary))


if __name__ == "__main__":
    typer.run(main)
