"""Claims about the nearest frames of query frames, exact and through the vector index."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from dubl.index import nearest
from dubl.index.nearest import nearest_frames, partitions, probed
from dubl.index.store import LibraryStore
from dubl.settings import IndexSettings
from dubl.types import Float16Array
from tests.unit.index.videos import OpenStore, entry, features_of, random_vectors

SETTINGS = IndexSettings(
    consistency_interval_s=0, ann_min_frames=600, hits_per_frame=4, refine_factor=5
)
QUERIES = random_vectors(3, 100)[:30].astype(np.float16)


@pytest.fixture
def library(open_store: OpenStore) -> LibraryStore:
    """Ten indexed videos of a hundred random frames, and one that came later."""
    store = open_store(settings=SETTINGS)
    videos = [entry(f"{n}", features=features_of(random_vectors(n, 100))) for n in range(11)]
    store.register(videos[:10])
    store.optimize()
    store.register(videos[10:])
    return store


def search(library: LibraryStore, queries: Float16Array = QUERIES, **more: bool) -> pa.Table:
    return nearest_frames(library.tables.frames, queries, SETTINGS, **more)


def test_each_query_has_its_nearest_frames_in_order(library: LibraryStore) -> None:
    found = search(library)
    assert found["query_index"].to_pylist() == [n for n in range(30) for _ in range(4)]
    distances = found["_distance"].to_numpy().reshape(30, 4)
    assert (np.diff(distances, axis=1) >= 0).all()
    assert found["reference_id"].to_pylist()[::4] == ["3"] * 30
    assert found["time_s"].to_pylist()[::4] == list(range(30))
    assert np.abs(distances[:, 0]).max() < 1e-3


def test_the_index_finds_what_exact_search_finds(library: LibraryStore) -> None:
    """Where all of it is searched."""
    columns = ["query_index", "reference_id", "time_s"]
    exact, found = search(library, exact=True).select(columns), search(library).select(columns)
    same = pa.concat_tables([exact, found]).group_by(columns).aggregate([]).num_rows
    assert same <= 1.05 * exact.num_rows


def test_frames_that_are_not_in_the_index_yet_are_found(library: LibraryStore) -> None:
    assert library.index_health().unindexed_frames == 100
    found = search(library, random_vectors(10, 100)[:1].astype(np.float16))
    assert found["reference_id"].to_pylist()[0] == "10"
    assert found["query_index"].to_pylist() == [0] * 4


def test_a_long_query_is_searched_in_pieces(
    library: LibraryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = search(library)
    monkeypatch.setattr(nearest, "ROWS_A_SEARCH", 7 * SETTINGS.hits_per_frame * 5)
    assert search(library).equals(whole)


def test_a_larger_library_is_searched_in_more_parts_and_a_smaller_share() -> None:
    sizes = [1, 20_000, 100_000, 300_000, 10**6, 3 * 10**6, 5 * 10**6, 10**7, 10**8]
    shares = [probed(size) / partitions(size) for size in sizes]
    assert all(1 <= probed(size) <= partitions(size) <= size for size in sizes)
    assert shares[:3] == [1, 1, 1]
    assert all(later <= 1.01 * earlier for earlier, later in pairwise(shares))
    assert [partitions(size) for size in sizes] == sorted(partitions(size) for size in sizes)
