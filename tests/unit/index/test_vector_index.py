"""Claims about training the vector index and about the audit of its recall."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dubl.index.store import LibraryStore
from dubl.settings import IndexSettings
from tests.unit.index.videos import OpenStore, entry, features_of, random_vectors

SETTINGS = IndexSettings(consistency_interval_s=0, ann_min_frames=600, retrain_share=0.5)


@pytest.fixture
def library(open_store: OpenStore) -> LibraryStore:
    return open_store(settings=SETTINGS)


def grow(store: LibraryStore, first: int, videos: int) -> None:
    """Adds videos of a hundred random frames."""
    store.register(
        [
            entry(f"video {number}", features=features_of(random_vectors(number, 100)))
            for number in range(first, first + videos)
        ]
    )


def test_a_small_library_is_searched_exactly(library: LibraryStore) -> None:
    grow(library, 0, 5)
    library.optimize(retrain=True)
    health = library.index_health()
    assert (health.index_type, health.recall, health.frames) == ("exact", 1.0, 500)


def test_the_index_is_trained_anew_when_the_library_has_outgrown_it(library: LibraryStore) -> None:
    grow(library, 0, 10)
    library.optimize()
    assert library.index_health().frames_at_training == 1000
    grow(library, 10, 4)
    library.optimize(retrain=True)
    health = library.index_health()
    assert (health.frames, health.frames_at_training, health.unindexed_frames) == (1400, 1000, 0)
    grow(library, 14, 2)
    library.optimize()
    assert library.index_health().frames_at_training == 1000, "upkeep alone never trains anew"
    library.optimize(retrain=True)
    assert library.index_health().frames_at_training == 1600


def test_the_index_is_trained_anew_when_it_is_searched_as_one_of_other_partitions(
    library: LibraryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    grow(library, 0, 10)
    library.optimize()
    grow(library, 10, 1)
    monkeypatch.setattr("dubl.index.vector_index.GRAPH_FRAMES", 1100)
    monkeypatch.setattr("dubl.index.vector_index.STILL_GRAPH_FRAMES", 1000)
    library.optimize(retrain=True)
    assert library.index_health().frames_at_training == 1100
    for shrunk_to, trained_at in ((1000, 1100), (900, 900)):
        library.delete(library.list(limit=1).items[0].id)
        library.optimize(retrain=True)
        health = library.index_health()
        assert (health.frames, health.frames_at_training) == (shrunk_to, trained_at)


def test_the_index_is_trained_anew_when_the_library_has_shrunk(library: LibraryStore) -> None:
    grow(library, 0, 16)
    library.optimize()
    for one in library.list(limit=6).items:
        library.delete(one.id)
    library.optimize(retrain=True)
    assert library.index_health().frames_at_training == 1000


def test_another_type_in_the_settings_is_another_index(
    library: LibraryStore, open_store: OpenStore
) -> None:
    grow(library, 0, 10)
    library.optimize(retrain=True)
    assert library.index_health().index_type == "ivf_rq"
    other = open_store(settings=SETTINGS.model_copy(update={"ann_index": "ivf_hnsw_sq"}))
    other.optimize(retrain=True)
    assert other.index_health().index_type == "ivf_hnsw_sq"


def test_an_audit_finds_lost_recall_and_the_next_training_forgets_it(
    open_store: OpenStore,
) -> None:
    thorough = SETTINGS.model_copy(update={"refine_factor": 100})
    library = open_store(settings=thorough)
    grow(library, 0, 20)
    library.optimize()
    assert library.index_health().recall is None, "nobody has looked yet"
    good = library.audit_recall(queries=30)
    assert good.recall == 1.0
    lazy = thorough.model_copy(update={"refine_factor": 1})
    poor = open_store(settings=lazy).audit_recall(queries=30)
    assert poor.recall is not None
    assert poor.recall < good.recall
    assert library.index_health().recall == poor.recall
    grow(library, 20, 20)
    library.optimize(retrain=True)
    assert library.index_health().recall is None


def test_audits_of_one_library_agree(library: LibraryStore) -> None:
    grow(library, 0, 10)
    library.optimize()
    first, second = library.audit_recall(queries=20), library.audit_recall(queries=20)
    assert replace(first, created_at="") == replace(second, created_at="")
