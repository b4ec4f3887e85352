"""Claims about which references become candidates, and in which order."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest

from dubl.errors import FeatureSpaceMismatch, InvalidRequest
from dubl.index.retriever import LanceRetriever
from dubl.index.store import LibraryStore
from dubl.types import CandidateSet, Float64Array, VideoFeatures
from tests.unit.index.videos import (
    SETTINGS,
    SPEC,
    OpenStore,
    entry,
    features_of,
    random_vectors,
)


def ids_of(found: CandidateSet) -> list[str]:
    return [candidate.reference_id for candidate in found.candidates]


def noisy(vectors: Float64Array, *, seed: int = 99, noise: float = 0.2) -> VideoFeatures:
    """A copy whose descriptors have a cosine of about 1 / sqrt(1 + noise²) to the original's."""
    return features_of(vectors + noise * random_vectors(seed, vectors.shape[0]))


@pytest.fixture
def retriever(store: LibraryStore) -> LanceRetriever:
    """Over thirty references of 20 random frames, "0" to "29"."""
    store.register([entry(f"{number}", seed=number) for number in range(30)])
    return LanceRetriever(store, SETTINGS)


def test_an_empty_library_has_no_candidates(store: LibraryStore) -> None:
    found = LanceRetriever(store, SETTINGS).retrieve(features_of(random_vectors(0)))
    assert found.candidates == ()
    assert found.index_version == store.version


def test_a_shifted_noisy_copy_is_found_with_its_timing(retriever: LanceRetriever) -> None:
    found = retriever.retrieve(noisy(random_vectors(7)[6:16]))
    best = found.candidates[0]
    assert best.reference_id == "7"
    assert best.library == "main"
    assert [hit.reference_time_s - hit.query_time_s for hit in best.hits] == [6.0] * 10
    assert 0.5 < best.score <= 1
    assert found.candidates[1].score < best.score / 2


def test_a_reference_that_is_asked_for_is_a_candidate_without_a_search(
    retriever: LanceRetriever,
) -> None:
    found = retriever.candidate("7")
    assert found is not None
    assert (found.reference_id, found.library, found.hits) == ("7", "main", ())
    assert retriever.candidate("none") is None


def test_searched_references_are_counted(store: LibraryStore) -> None:
    query, retriever = features_of(random_vectors(0)), LanceRetriever(store, SETTINGS)
    assert retriever.retrieve(query).searched == 0
    store.register([entry("a", seed=1), entry("b", seed=2), entry("c", seed=3, library="films")])
    assert retriever.retrieve(query).searched == 3
    assert retriever.retrieve(query, libraries=["films"]).searched == 1
    assert retriever.retrieve(query, libraries=["films", "none"]).searched == 1
    store.delete("c")
    assert retriever.retrieve(query, libraries=["films"]).searched == 0


@pytest.mark.parametrize("speed", [0.5, 2.0, -1.0])
def test_a_copy_at_another_speed_or_backwards_keeps_all_its_hits(
    retriever: LanceRetriever, speed: float
) -> None:
    rows = np.arange(20) if speed > 0 else np.arange(20)[::-1]
    times = np.arange(20) / abs(speed)
    query = replace(noisy(random_vectors(7)[rows]), timestamps_s=times)
    best = retriever.retrieve(query).candidates[0]
    assert best.reference_id == "7"
    assert len(best.hits) == 20


def test_consistent_hits_outrank_scattered_ones(store: LibraryStore) -> None:
    query = random_vectors(1, 12)
    shuffled = np.random.default_rng(5).permutation(60)[:12]
    scattered = random_vectors(2, 60)
    scattered[shuffled] = query
    consistent = random_vectors(3, 60)
    consistent[30:38] = query[2:10]
    store.register(
        [
            entry("scattered", features=features_of(scattered)),
            entry("consistent", features=features_of(consistent)),
        ]
    )
    found = LanceRetriever(store, SETTINGS).retrieve(noisy(query))
    assert ids_of(found) == ["consistent", "scattered"]
    assert len(found.candidates[0].hits) == 8


def test_a_single_frame_is_enough_for_a_query(retriever: LanceRetriever) -> None:
    assert ids_of(retriever.retrieve(noisy(random_vectors(4)[3:4])))[0] == "4"


def test_excluded_ids_are_no_candidates(retriever: LanceRetriever) -> None:
    found = retriever.retrieve(noisy(random_vectors(7)), exclude_ids=["7", "it's"])
    assert "7" not in ids_of(found)
    assert found.candidates


def test_only_earlier_registrations_count_when_asked(
    store: LibraryStore, retriever: LanceRetriever
) -> None:
    query = noisy(random_vectors(7))
    registered = store.get("7").created_at
    moment = datetime.fromisoformat(registered)
    later = moment + timedelta(microseconds=1)
    local = later.astimezone().isoformat()
    assert "7" not in ids_of(retriever.retrieve(query, registered_before=registered))
    assert ids_of(retriever.retrieve(query, registered_before=local))[0] == "7"
    assert set(ids_of(retriever.retrieve(query, registered_before=registered))) <= {
        f"{number}" for number in range(7)
    }
    with pytest.raises(InvalidRequest, match="ISO 8601"):
        retriever.retrieve(query, registered_before="yesterday")


def test_libraries_limit_the_search(store: LibraryStore, retriever: LanceRetriever) -> None:
    query = noisy(random_vectors(7))
    store.register([entry("it's", seed=7, library="l'autre")])
    assert ids_of(retriever.retrieve(query, libraries=["l'autre", "none"])) == ["it's"]
    assert "it's" not in ids_of(retriever.retrieve(query, libraries=["main"]))
    assert {"7", "it's"} <= set(ids_of(retriever.retrieve(query)))


def test_a_deleted_reference_is_gone_at_once_everywhere(
    store: LibraryStore, retriever: LanceRetriever, open_store: OpenStore
) -> None:
    query = noisy(random_vectors(7))
    elsewhere = LanceRetriever(open_store(read_only=True), SETTINGS)
    assert ids_of(elsewhere.retrieve(query))[0] == "7"
    store.delete("7")
    assert "7" not in ids_of(retriever.retrieve(query))
    assert "7" not in ids_of(elsewhere.retrieve(query))


def test_frames_without_their_reference_do_not_exist(
    store: LibraryStore, retriever: LanceRetriever
) -> None:
    store.tables.references.delete("id = '7'")
    assert "7" not in ids_of(retriever.retrieve(noisy(random_vectors(7))))


def test_a_new_reference_is_found_at_once_in_another_handle(
    store: LibraryStore, open_store: OpenStore
) -> None:
    reader = LanceRetriever(open_store(read_only=True), SETTINGS)
    store.register([entry("a", seed=7)])
    found = reader.retrieve(noisy(random_vectors(7)))
    assert ids_of(found) == ["a"]
    assert found.index_version == store.version


def test_frames_with_nothing_to_see_neither_vote_nor_are_found(store: LibraryStore) -> None:
    black = features_of(np.zeros((20, SPEC.descriptor_dims)))
    store.register([entry("black", features=black), entry("a", seed=1)])
    retriever = LanceRetriever(store, SETTINGS)
    assert retriever.retrieve(black).candidates == ()
    half = random_vectors(1)
    half[10:] = 0
    found = retriever.retrieve(features_of(half))
    assert ids_of(found) == ["a"]
    assert max(hit.query_time_s for hit in found.candidates[0].hits) == 9
    assert store.read_features(["black"])["black"].descriptors.shape == (20, SPEC.descriptor_dims)


def test_no_more_candidates_than_asked_for_best_first(store: LibraryStore) -> None:
    original = random_vectors(0)
    store.register(
        [
            entry(f"{number}", features=noisy(original, seed=number, noise=0.1 * number))
            for number in range(1, 9)
        ]
    )
    retriever = LanceRetriever(store, SETTINGS.model_copy(update={"max_candidates": 3}))
    assert ids_of(retriever.retrieve(features_of(original))) == ["1", "2", "3"]


def test_an_approximate_index_finds_the_same_copies_and_what_came_after_it(
    open_store: OpenStore,
) -> None:
    settings = SETTINGS.model_copy(update={"ann_min_frames": 600})
    store = open_store(settings=settings)
    store.register([entry(f"{number}", seed=number) for number in range(40)])
    store.optimize()
    assert "descriptor_idx" in {index.name for index in store.tables.frames.list_indices()}
    store.register([entry("new", seed=77)])
    retriever = LanceRetriever(open_store(settings=settings, read_only=True), settings)
    for number in (0, 13, 39):
        found = retriever.retrieve(noisy(random_vectors(number)), libraries=["main"])
        assert ids_of(found)[0] == f"{number}"
    assert ids_of(retriever.retrieve(noisy(random_vectors(77))))[0] == "new"
    store.optimize()
    store.delete("13")
    assert "13" not in ids_of(retriever.retrieve(noisy(random_vectors(13))))


def test_timings_keep_what_earlier_steps_said(retriever: LanceRetriever) -> None:
    query = replace(noisy(random_vectors(7)), timings_ms={"decode": 3.0})
    timings = retriever.retrieve(query).timings_ms
    assert timings["decode"] == 3.0
    assert timings["retrieve"] > 0


def test_a_query_of_another_model_is_refused(retriever: LanceRetriever) -> None:
    query = replace(noisy(random_vectors(7)), spec=replace(SPEC, model_id="other"))
    with pytest.raises(FeatureSpaceMismatch, match="other"):
        retriever.retrieve(query)


def test_three_hours_are_found_by_three_hours(store: LibraryStore) -> None:
    hours = random_vectors(0, 3 * 3600)
    store.register([entry("long", features=features_of(hours)), entry("other", seed=1)])
    found = LanceRetriever(store, SETTINGS).retrieve(noisy(hours, seed=3))
    best = found.candidates[0]
    assert best.reference_id == "long"
    assert len(best.hits) == SETTINGS.max_query_frames
    assert all(hit.query_time_s == hit.reference_time_s for hit in best.hits)
