"""The nearest stored frames of query frames, through the vector index where there is one.

The index answers from its codes, and the best of what it finds is compared in full here. Lance can
do so itself (`refine_factor`), with a read of the table for every query vector: that took two
thirds of a search. Here a batch of vectors is one read.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from lancedb.table import Table

from dubl.index.tables import Tables, store_errors
from dubl.settings import IndexSettings
from dubl.types import Float16Array, Float32Array

INDEX = "descriptor_idx"
FRAMES_A_PART = 4096
GRAPH_FRAMES = 4_000_000
STILL_GRAPH_FRAMES = 3_800_000  # a library that has shrunk a little keeps its partitions
GRAPH_PARTS = 4096
MIN_PROBED = 100
PARTS_A_PROBE = 12
# Rows that are compared in full at once: they bound the memory of a search.
ROWS_A_SEARCH = 8192
COLUMNS = ("reference_id", "time_s", "until_s")


def partitions(frames: int) -> int:
    """Into how many parts the vector index of so many frames is divided.

    Assigning a frame costs as much as there are parts, up to the number from which on Lance finds
    them by a graph.
    """
    by_size = max(1, frames // FRAMES_A_PART)
    return max(by_size, GRAPH_PARTS) if frames >= GRAPH_FRAMES else by_size


def probed(frames: int) -> int:
    """How many of them are searched: a smaller share of a larger table, which finds fewer of the
    frames that are alike by chance, and hardly fewer copies: docs/lab/retrieval.md has figures."""
    parts = max(partitions(frames), GRAPH_PARTS if frames >= STILL_GRAPH_FRAMES else 0)
    return min(parts, max(MIN_PROBED, parts // PARTS_A_PROBE))


def nearest_frames(
    tables: Tables,
    descriptors: Float16Array,
    settings: IndexSettings,
    *,
    where: str = "",
    exact: bool = False,
) -> pa.Table:
    """The `hits_per_frame` nearest frames of every row of [Q,D'], nearest first: `query_index`,
    `reference_id`, `time_s`, `until_s`, and `_distance`, one minus the cosine.

    Exact while the table has no vector index, or when `exact`; with one, rows added since then are
    searched exactly and the rest through it. Raises StoreUnavailable.
    """
    with store_errors("be searched"):
        stats = None if exact else tables.frames.index_stats(INDEX)
        probes, deep = 0, settings.hits_per_frame
        if stats is not None:
            probes = settings.probed_partitions or probed(stats.num_indexed_rows)
            deep *= settings.refine_factor
        step = max(1, ROWS_A_SEARCH // deep)
        found = []
        for first in range(0, len(descriptors), step):
            some = descriptors[first : first + step]
            rows = _candidates(tables.frames, some, deep, probes, where)
            found.append(_nearest(rows, some, first, settings.hits_per_frame))
        return pa.concat_tables(found)


def _candidates(
    table: Table, descriptors: Float16Array, deep: int, probes: int, where: str
) -> pa.Table:
    """The `deep` nearest of each row with their descriptors; by exact search without `probes`."""
    query = table.search(list(descriptors), vector_column_name="descriptor", query_type="vector")
    query = query.distance_type("cosine").select([*COLUMNS, "descriptor", "_distance"]).limit(deep)
    query = query.nprobes(probes) if probes else query.bypass_vector_index()
    return (query.where(where, prefilter=True) if where else query).to_arrow()


def _nearest(rows: pa.Table, descriptors: Float16Array, first: int, most: int) -> pa.Table:
    """The `most` nearest of each query by their descriptors; queries are numbered from `first`."""
    if "query_index" in rows.column_names:
        queries = rows["query_index"].to_numpy()
    else:  # LanceDB leaves it out for a single query vector.
        queries = np.zeros(rows.num_rows, dtype=np.int32)
    stored = rows["descriptor"].combine_chunks().flatten().to_numpy()
    distances = _distances(stored.reshape(len(queries), descriptors.shape[1]), descriptors[queries])
    order = np.lexsort((distances, queries))
    ranks = np.arange(len(order)) - np.searchsorted(queries[order], queries[order])
    kept = order[ranks < most]
    nearest = rows.select(COLUMNS).take(kept)
    nearest = nearest.append_column("query_index", pa.array(queries[kept] + first))
    return nearest.append_column("_distance", pa.array(distances[kept]))


def _distances(stored: Float16Array, asked: Float16Array) -> Float32Array:
    """One minus the cosine of each row of the one with that of the other."""
    left, right = stored.astype(np.float32), asked.astype(np.float32)
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    products = np.einsum("qd,qd->q", left, right)
    distances: Float32Array = 1 - products / np.maximum(lengths, np.finfo(np.float32).tiny)
    return distances
