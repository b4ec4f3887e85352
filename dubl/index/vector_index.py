"""The vector indexes of `frames` and of the table of sound: training, and recall compared with
exact search, which is measured for `frames`.

Below `ann_min_frames` there is no index, and search is exact. New rows are searched exactly until
`optimize` adds them to the index. Its partitions stay those of the training, so recall falls as the
library grows. The history table records trainings and audits.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from lancedb.index import HnswSq, IvfFlat, IvfPq, IvfRq
from lancedb.table import Table

from dubl.index.clock import utc_text
from dubl.index.nearest import (
    GRAPH_FRAMES,
    INDEX,
    STILL_GRAPH_FRAMES,
    nearest_frames,
    partitions,
)
from dubl.index.schema import index_history_schema
from dubl.index.tables import Tables, committed, store_errors
from dubl.settings import IndexSettings
from dubl.types import Float16Array, Float32Array, IndexHealth

KINDS = {"ivf_rq": IvfRq, "ivf_pq": IvfPq, "ivf_flat": IvfFlat, "ivf_hnsw_sq": HnswSq}
CODED_DIMS_STEP = 8  # codes need a multiple of so many dimensions; by Lance
# Vectors of each partition, and rounds. Measured in docs/lab/retrieval.md: Lance's defaults of 256
# and 50 find hardly more, and the cost grows with the square of the library.
TRAINING_VECTORS = 64
TRAINING_ROUNDS = 10
# Bits of each dimension in the codes of "ivf_rq"; measured in docs/lab/retrieval.md. With one bit,
# Lance's default, too many of the nearest frames are missed.
CODE_BITS = 4
TIE = 1e-5  # difference of cosines that counts as equal
SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexEvent:
    """A row of the history table; `created_at` is set when it is recorded."""

    event: str
    index_type: str
    frames: int
    recall: float | None = None
    queries: int = 0
    created_at: str = ""


def ensure_vector_index(
    tables: Tables, table: Table, settings: IndexSettings, *, retrain: bool
) -> bool:
    """Trains the index of `table` if there is none; returns whether it was trained.

    With `retrain`, also if the configured type has changed, or if the table has grown or shrunk by
    more than `retrain_share` since the training.
    """
    frames = int(table.count_rows())
    present = INDEX in index_names(table)
    event = "trained" if table is tables.frames else f"trained {table.name}"
    if frames < settings.ann_min_frames or (present and not retrain):
        return False
    kind = index_type(table, settings)
    if present:
        trained = _last(tables, event)
        if (
            trained is not None
            and trained.index_type == kind
            and not _is_of_another_size(trained.frames, frames, kind, settings.retrain_share)
        ):
            return False
    config = KINDS[kind](
        distance_type="cosine", sample_rate=TRAINING_VECTORS, max_iterations=TRAINING_ROUNDS
    )
    if not isinstance(config, HnswSq):  # it has few, large graphs
        config.num_partitions = partitions(frames)
    if isinstance(config, IvfRq):
        config.num_bits = CODE_BITS
    committed(
        table,
        lambda: table.create_index("descriptor", config=config, name=INDEX, replace=True),
    )
    _record(tables, IndexEvent(event=event, index_type=kind, frames=frames))
    return True


def _is_of_another_size(trained: int, frames: int, kind: str, share: float) -> bool:
    """Whether the table has outgrown its index.

    The number of searched partitions is calculated from the current number of frames, so the index
    must have about as many partitions as it would get now.
    """
    if not trained / (1 + share) <= frames <= trained * (1 + share):
        return True
    few_then, few_now = trained < GRAPH_FRAMES, frames < STILL_GRAPH_FRAMES
    crossed = (few_then and frames >= GRAPH_FRAMES) or (few_now and not few_then)
    return crossed and kind != "ivf_hnsw_sq"


def index_type(table: Table, settings: IndexSettings) -> str:
    """The configured type, or "ivf_flat" if the number of dimensions does not allow codes."""
    dims = table.schema.field("descriptor").type.list_size
    return "ivf_flat" if dims % CODED_DIMS_STEP else settings.ann_index


def audit_recall(tables: Tables, settings: IndexSettings, *, queries: int) -> IndexEvent:
    """Compares the index with exact search on a sample of stored frames; records the recall."""
    frames = int(tables.frames.count_rows())
    indexed = INDEX in index_names(tables.frames)
    queries = min(queries, frames) if indexed else 0
    sample = _sample(tables.frames, queries) if queries else None
    recall = 1.0 if sample is None else _recall(tables, sample, settings)
    event = IndexEvent(
        event="audited",
        index_type=index_type(tables.frames, settings) if indexed else "exact",
        frames=frames,
        recall=recall,
        queries=queries,
    )
    return _record(tables, event)


def index_health(tables: Tables) -> IndexHealth:
    with store_errors("tell the state of its index"):
        frames = int(tables.frames.count_rows())
        stats = tables.frames.index_stats(INDEX) if INDEX in index_names(tables.frames) else None
        trained, audited = _last(tables, "trained"), _last(tables, "audited")
    if stats is None or trained is None:
        return IndexHealth(
            index_type="exact" if stats is None else "unknown",
            frames=frames,
            unindexed_frames=0,
            frames_at_training=0,
            recall=1.0 if stats is None else None,
            audited_at="",
        )
    current = audited if audited and audited.created_at > trained.created_at else None
    return IndexHealth(
        index_type=trained.index_type,
        frames=frames,
        unindexed_frames=int(stats.num_unindexed_rows),
        frames_at_training=trained.frames,
        recall=current.recall if current else None,
        audited_at=current.created_at if current else "",
    )


def index_names(table: Table) -> set[str]:
    return {index.name for index in table.list_indices()}


def _sample(table: Table, count: int) -> Float16Array:
    """Descriptors [count,D'] of stored frames."""
    rng = np.random.default_rng(SEED)
    offsets = np.sort(rng.choice(table.count_rows(), count, replace=False))
    rows = table.take_offsets(offsets.tolist()).select(["descriptor"]).to_arrow()
    values = rows["descriptor"].combine_chunks().flatten().to_numpy()
    return np.asarray(values.reshape(count, -1), dtype=np.float16)


def _recall(tables: Tables, sample: Float16Array, settings: IndexSettings) -> float:
    """The mean share of the nearest frames that the index finds.

    Frames as near as the last exact hit count too, as videos repeat themselves.
    """
    frames = tables.frames
    exact = _distances(nearest_frames(frames, sample, settings, exact=True), len(sample))
    found = _distances(nearest_frames(frames, sample, settings), len(sample))
    shares = [
        min(1.0, int(np.sum(some <= truth.max() + TIE)) / len(truth))
        for truth, some in zip(exact, found, strict=True)
    ]
    return float(np.mean(shares))


def _distances(found: pa.Table, count: int) -> list[Float32Array]:
    """Distances of the hits, one array for each query."""
    queries, distances = found["query_index"].to_numpy(), found["_distance"].to_numpy()
    return [distances[queries == query] for query in range(count)]


def _last(tables: Tables, event: str) -> IndexEvent | None:
    rows = tables.index_history.search().where(f"event = '{event}'").to_arrow().to_pylist()
    latest = max(rows, key=lambda row: row["created_at"], default=None)
    return None if latest is None else IndexEvent(**latest)


def _record(tables: Tables, event: IndexEvent) -> IndexEvent:
    row = {**asdict(event), "created_at": utc_text(datetime.now(UTC))}
    tables.index_history.add(pa.Table.from_pylist([row], schema=index_history_schema()))
    return IndexEvent(**row)
