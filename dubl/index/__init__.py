"""The library in LanceDB.

Lance logs thousands of warnings while it builds an index. They are turned off here, unless
LANCEDB_LOG is set.
"""

import os

os.environ.setdefault(
    "LANCEDB_LOG", "warn,lance_index::vector::hnsw=error,lance::index::vector::builder=error"
)
