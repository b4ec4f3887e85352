"""What a process keeps of the tables in memory."""

from __future__ import annotations

from pathlib import Path

from dubl.index.store import LibraryStore
from dubl.index.tables import Caches, session_of
from tests.unit.index.videos import SETTINGS, SPEC, entry

SMALL = Caches(metadata_bytes=200_000, index_bytes=200_000)
LARGE = Caches(metadata_bytes=100_000_000, index_bytes=100_000_000)


def test_commits_leave_no_more_in_memory_than_the_caches_may_hold(tmp_path: Path) -> None:
    for name, caches in (("small", SMALL), ("large", LARGE)):
        store = LibraryStore(str(tmp_path / name), spec=SPEC, settings=SETTINGS, caches=caches)
        for number in range(30):
            store.register([entry(f"r{number}", seed=number)])
            if number >= 14:
                store.delete(f"r{number - 14}")
            if number % 6 == 0:
                store.optimize()

    bound = SMALL.metadata_bytes + SMALL.index_bytes
    assert session_of(SMALL).size_bytes <= bound
    assert session_of(LARGE).size_bytes > bound
