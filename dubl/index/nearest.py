"""The nearest stored frames of query frames, through the vector index if there is one.

The index searches by codes. The best hits are then compared in full here, with one read for a batch
of query vectors. Lance's own `refine_factor` reads the table once for each query vector, which took
two thirds of a search.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from lancedb.table import Table

from dubl.index.tables import store_errors
from dubl.settings import IndexSettings
from dubl.types import Float16Array, Float32Array

INDEX = "descriptor_idx"
# Measured in docs/lab/retrieval.md, unless a comment says otherwise.
FRAMES_A_PART = 4096  # frames of one partition
GRAPH_FRAMES = 4_000_000  # from here on Lance assigns frames to partitions by a graph
STILL_GRAPH_FRAMES = 3_800_000  # chosen: a library that shrinks a little keeps its partitions
GRAPH_PARTS = 4096  # least number of partitions with a graph
MIN_PROBED = 100  # partitions searched at least
PARTS_A_PROBE = 12  # partitions for each searched one
ROWS_A_SEARCH = 8192  # hits compared in full at once; chosen, bounds memory
COLUMNS = ("reference_id", "time_s", "until_s")


def partitions(frames: int) -> int:
    """Number of partitions of a vector index with so many frames.

    The cost of assigning a frame grows with that number, up to GRAPH_PARTS.
    """
    by_size = max(1, frames // FRAMES_A_PART)
    return max(by_size, GRAPH_PARTS) if frames >= GRAPH_FRAMES else by_size


def probed(frames: int) -> int:
    """Number of partitions that are searched; the share is smaller in a larger table.

    This finds fewer frames that are similar by chance, and hardly fewer copies: see
    docs/lab/retrieval.md.
    """
    parts = max(partitions(frames), GRAPH_PARTS if frames >= STILL_GRAPH_FRAMES else 0)
    return min(parts, max(MIN_PROBED, parts // PARTS_A_PROBE))


def nearest_frames(
    table: Table,
    descriptors: Float16Array,
    settings: IndexSettings,
    *,
    where: str = "",
    exact: bool = False,
) -> pa.Table:
    """The `hits_per_frame` nearest rows of `table` for every row of [Q,D'], nearest first.

    Columns: `query_index`, `reference_id`, `time_s`, `until_s`, and `_distance` (1 - cosine). The
    search is exact without a vector index, or with `exact`. With an index, only rows added since it
    was built are searched exactly. Raises StoreUnavailable.
    """
    with store_errors("be searched"):
        stats = None if exact else table.index_stats(INDEX)
        probes, deep = 0, settings.hits_per_frame
        if stats is not None:
            probes = settings.probed_partitions or probed(stats.num_indexed_rows)
            deep *= settings.refine_factor
        step = max(1, ROWS_A_SEARCH // deep)
        found = []
        for first in range(0, len(descriptors), step):
            some = descriptors[first : first + step]
            rows = _candidates(table, some, deep, probes, where)
            found.append(_nearest(rows, some, first, settings.hits_per_frame))
        return pa.concat_tables(found)


def _candidates(
    table: Table, descriptors: Float16Array, deep: int, probes: int, where: str
) -> pa.Table:
    """The `deep` nearest frames of each row, with descriptors; exact if `probes` is 0."""
    query = table.search(list(descriptors), vector_column_name="descriptor", query_type="vector")
    query = query.distance_type("cosine").select([*COLUMNS, "descriptor", "_distance"]).limit(deep)
    query = query.nprobes(probes) if probes else query.bypass_vector_index()
    return (query.where(where, prefilter=True) if where else query).to_arrow()


def _nearest(rows: pa.Table, descriptors: Float16Array, first: int, most: int) -> pa.Table:
    """The `most` nearest frames of each query by cosine; queries are numbered from `first`."""
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
    """1 - cosine of the corresponding rows of `stored` and `asked`, [N]."""
    left, right = stored.astype(np.float32), asked.astype(np.float32)
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    products = np.einsum("qd,qd->q", left, right)
    distances: Float32Array = 1 - products / np.maximum(lengths, np.finfo(np.float32).tiny)
    return distances
