"""The library in LanceDB. Lance's lines about how it builds an index, thousands for millions of
frames, are no warnings to anybody; who sets LANCEDB_LOG sees what they want."""

import os

os.environ.setdefault(
    "LANCEDB_LOG", "warn,lance_index::vector::hnsw=error,lance::index::vector::builder=error"
)
