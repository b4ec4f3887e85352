"""Export of the library to one file, and import.

A copy of the table `references` is enough: frames are built from it. A query reads one version of
the table, so the copy is consistent even if others write at the same time.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dubl.errors import StoreUnavailable
from dubl.index.reading import read_rows
from dubl.index.rows import NewReference, to_features, to_references
from dubl.index.schema import completed, require_spec
from dubl.index.tables import Tables, store_errors
from dubl.index.upkeep import orphan_frames
from dubl.index.writing import add_frames, drop_frames
from dubl.types import FeatureSpec, SoundSpec

ROWS_AT_ONCE = 16  # chosen; features of a long video have tens of megabytes


def export_references(tables: Tables, path: Path) -> int:
    """Writes all references to a Parquet file; returns their number."""
    count = 0
    with store_errors(f"be copied to {path}"):
        schema = tables.references.schema
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            for batch in tables.references.search().to_batches(ROWS_AT_ONCE):
                table = pa.Table.from_batches([batch]).select(schema.names).cast(schema)
                writer.write_table(table)
                count += table.num_rows
    return count


def import_references(
    tables: Tables, path: Path, spec: FeatureSpec, sound: SoundSpec | None = None
) -> int:
    """Adds the missing references of a Parquet file, each with its frames; returns the number of
    references in the file.

    Raises FeatureSpaceMismatch, and StoreUnavailable if the library holds other references.
    """
    with store_errors(f"read {path}"):
        file = pq.ParquetFile(path)
    with file:
        require_spec(file.schema_arrow, spec, where=str(path))
        with store_errors("be compared with the copy"):
            copied = file.read(["id", "created_at"])
        present = _present_ids(tables, copied)
        # Of an interrupted import; other frames may belong to a writer that is active.
        keys = set(zip(*(column.to_pylist() for column in copied.columns), strict=True))
        drop_frames(tables, orphan_frames(tables) & keys)
        for batch in file.iter_batches(batch_size=ROWS_AT_ONCE):
            rows = pa.Table.from_batches([batch])
            absent = [name not in present for name in rows["id"].to_pylist()]
            _add(tables, rows.filter(pa.array(absent)), spec, sound)
        return int(file.metadata.num_rows)


def _present_ids(tables: Tables, copied: pa.Table) -> set[str]:
    present: set[str] = set(read_rows(tables, ["id"])["id"].to_pylist())
    others = present - set(copied["id"].to_pylist())
    if others:
        raise StoreUnavailable(
            f"the library holds {len(others)} references that are not in the copy, for example "
            f"'{min(others)}'. Restore into an empty library."
        )
    return present


def _add(tables: Tables, rows: pa.Table, spec: FeatureSpec, sound: SoundSpec | None) -> None:
    """Adds frames first, then the reference, which is the commit point."""
    if not rows.num_rows:
        return
    rows = completed(rows, tables.references.schema)
    features = to_features(rows, spec, sound)
    items = [
        NewReference(reference=reference, features=features[reference.id])
        for reference in to_references(rows)
    ]
    with store_errors("take references back"):
        add_frames(tables, items, spec)
        tables.references.add(rows)
