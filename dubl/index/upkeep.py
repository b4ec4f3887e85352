"""Upkeep of the tables: compaction, indexes, old versions, orphan frames."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import chain

import pyarrow as pa
from lancedb.index import Bitmap, BTree
from lancedb.table import Table

from dubl.index.reading import read_rows
from dubl.index.tables import Tables, committed, store_errors
from dubl.index.vector_index import ensure_vector_index, index_names
from dubl.index.writing import FramesOf
from dubl.settings import IndexSettings

# All values are chosen.
MIN_INDEXED_ROWS = 256  # rows; a smaller table is searched without a scalar index
# Compaction rewrites all features. It waits until the files have grown by a constant factor, which
# bounds the bytes written by a constant times the bytes stored.
MIN_FILES = 64
ROWS_PER_FILE = 4
# Old versions keep the features of deleted references on disk. If as many references are deleted as
# added, files never become many, so old versions trigger compaction as well.
MIN_VERSIONS = 64
ROWS_PER_VERSION = 4


def optimize_tables(
    tables: Tables, settings: IndexSettings, *, full: bool, retrain: bool = False
) -> None:
    """Compacts the tables, updates indexes, and drops old versions.

    `references` is compacted if `full`, or if it has too many files or old versions. The vector
    index is trained if there is none; with `retrain` also if the table has outgrown it.
    """
    kept = timedelta(seconds=settings.keep_versions_s)
    for table in tables.searched:
        _compact(table, kept)
        _ensure_index(table, "reference_id", BTree())
        _ensure_index(table, "library", Bitmap())
        ensure_vector_index(tables, table, settings, retrain=retrain)
    references = tables.references
    if full or _too_many_files(references) or _too_many_versions(references, kept):
        _compact(tables.references, kept)
    _ensure_index(tables.references, "id", BTree())
    _ensure_index(tables.references, "sha256", BTree())


def orphan_frames(tables: Tables) -> set[FramesOf]:
    """Registrations with frames but without a reference: interrupted, or still active."""
    written: set[FramesOf] = set()
    with store_errors("read frames"):
        queries = [
            table.search().select(["reference_id", "created_at"]) for table in tables.searched
        ]
        for batch in chain.from_iterable(query.to_batches() for query in queries):
            keys = pa.Table.from_batches([batch]).group_by(batch.schema.names).aggregate([])
            written.update(zip(*(column.to_pylist() for column in keys.columns), strict=True))
    rows = read_rows(tables, ["id", "created_at"])
    return written - set(zip(*(column.to_pylist() for column in rows.columns), strict=True))


def _compact(table: Table, kept: timedelta) -> None:
    committed(table, lambda: table.optimize(cleanup_older_than=kept))


def _ensure_index(table: Table, column: str, index: BTree | Bitmap) -> None:
    """Builds the index, or rebuilds it if many rows are missing from it.

    Rebuilding reads one narrow column, whereas Lance's `optimize` would also compact.
    """
    rows = table.count_rows()
    if rows < MIN_INDEXED_ROWS:
        return
    name = f"{column}_idx"
    stats = table.index_stats(name) if name in index_names(table) else None
    if stats is None or stats.num_unindexed_rows >= max(MIN_INDEXED_ROWS, rows // 10):
        committed(table, lambda: table.create_index(column, config=index, name=name, replace=True))


def _too_many_files(table: Table) -> bool:
    stats = table.stats()
    files = stats["fragment_stats"]["num_fragments"]
    return bool(files > max(MIN_FILES, stats["num_rows"] // ROWS_PER_FILE))


def _too_many_versions(table: Table, kept: timedelta) -> bool:
    """Whether too many versions are older than `kept`. Lance's times are in the local time zone."""
    limit = datetime.now() - kept
    stale = sum(version["timestamp"] < limit for version in table.list_versions())
    return bool(stale > max(MIN_VERSIONS, table.count_rows() // ROWS_PER_VERSION))
