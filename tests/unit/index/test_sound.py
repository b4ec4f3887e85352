"""Claims about sound in the library: written, found, moved, copied and removed with its video."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dubl.index import predicates
from dubl.index.keys import read_keys
from dubl.index.retriever import LanceRetriever
from dubl.index.rows import Entry
from dubl.index.store import LibraryStore
from dubl.index.vector_index import index_names
from dubl.types import SoundFeatures, SoundSpec, VideoFeatures
from tests.unit.index.videos import (
    SETTINGS,
    SOUND,
    OpenStore,
    entry,
    features_of,
    random_vectors,
    sound_of,
)


def heard(reference_id: str, *, seed: int, sound: SoundFeatures | None, **more: str) -> Entry:
    features = replace(features_of(random_vectors(seed)), sound=sound)
    return entry(reference_id, features=features, **more)


def query(sound: SoundFeatures) -> VideoFeatures:
    """A video with this sound, and a picture of its own."""
    return replace(features_of(random_vectors(999)), sound=sound)


def part(sound: SoundFeatures, first: int, last: int) -> SoundFeatures:
    """Windows first…last of a sound, as a video of their own, with a little noise."""
    noise = np.random.default_rng(5).standard_normal((last - first, sound.spec.dims))
    vectors = sound.descriptors[first:last].astype(np.float64) + 0.05 * noise
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return SoundFeatures(
        descriptors=vectors.astype(np.float16),
        times_s=sound.times_s[: last - first],
        duration_s=(last - first) * sound.spec.step_s,
        spec=sound.spec,
    )


def rows(store: LibraryStore, reference_id: str) -> int:
    assert store.tables.audio_frames is not None
    return store.tables.audio_frames.count_rows(predicates.equals("reference_id", reference_id))


@pytest.fixture
def listening(open_store: OpenStore) -> LibraryStore:
    """Ten references with a sound each, "0" to "9"."""
    store = open_store(sound=SOUND)
    store.register([heard(f"{one}", seed=one, sound=sound_of(one)) for one in range(10)])
    return store


def test_a_reference_is_found_by_its_sound_alone_with_its_timing(listening: LibraryStore) -> None:
    found = LanceRetriever(listening, SETTINGS).retrieve(query(part(sound_of(7), 10, 30)))
    best = found.heard[0]
    assert (best.reference_id, best.library) == ("7", "main")
    assert {hit.reference_time_s - hit.query_time_s for hit in best.hits} == {5.0}
    assert len(found.heard) == 5
    assert best.score > 2 * found.heard[1].score


def test_filters_of_a_check_hold_for_sound_too(listening: LibraryStore) -> None:
    retriever = LanceRetriever(listening, SETTINGS)
    listening.register([heard("mine", seed=50, sound=sound_of(50), library="other")])
    asked = query(sound_of(50))
    assert retriever.retrieve(asked).heard[0].reference_id == "mine"
    assert retriever.retrieve(asked, libraries=["other"]).heard[0].reference_id == "mine"
    for others in (
        retriever.retrieve(asked, libraries=["main"]),
        retriever.retrieve(asked, exclude_ids=["mine"]),
        retriever.retrieve(asked, registered_before="2020-01-01"),
        LanceRetriever(listening, SETTINGS, negative=["other"]).retrieve(asked),
    ):
        assert "mine" not in [one.reference_id for one in others.heard]


def test_no_sound_finds_nothing_by_sound(listening: LibraryStore, open_store: OpenStore) -> None:
    retriever = LanceRetriever(listening, SETTINGS)
    other = replace(SOUND, model_id="another")
    for sound in (None, sound_of(1, 0), sound_of(1, spec=other)):
        features = replace(features_of(random_vectors(1)), sound=sound)
        found = retriever.retrieve(features)
        assert (found.heard, found.candidates[0].reference_id) == ((), "1")
    deaf = LanceRetriever(open_store(), SETTINGS)
    assert deaf.retrieve(query(sound_of(7))).heard == ()


def test_sound_is_read_back_as_it_was_written(
    listening: LibraryStore, open_store: OpenStore
) -> None:
    listening.register(
        [heard("silent", seed=60, sound=sound_of(1, 0)), heard("unheard", seed=61, sound=None)]
    )
    read = listening.read_features(["3", "silent", "unheard"])
    assert read["unheard"].sound is None
    kept, given = read["3"].sound, sound_of(3)
    assert kept is not None
    np.testing.assert_array_equal(kept.descriptors, given.descriptors)
    np.testing.assert_array_equal(kept.times_s, given.times_s)
    assert read["silent"].sound is not None
    assert read["silent"].sound.times_s.shape == (0,)
    alone = listening.read_sounds(["3", "silent", "unheard", "nobody"])
    assert set(alone) == {"3", "silent"}
    np.testing.assert_array_equal(alone["3"].descriptors, given.descriptors)
    assert alone["3"].duration_s == kept.duration_s
    deaf = open_store()
    assert (deaf.read_features(["3"])["3"].sound, deaf.read_sounds(["3"])) == (None, {})


def test_a_deleted_reference_leaves_no_sound(listening: LibraryStore) -> None:
    listening.delete("7")
    assert rows(listening, "7") == 0
    found = LanceRetriever(listening, SETTINGS).retrieve(query(sound_of(7)))
    assert "7" not in [one.reference_id for one in found.heard]


def test_sound_of_an_interrupted_registration_is_invisible_and_removed(
    listening: LibraryStore,
) -> None:
    table = listening.tables.references
    table.delete(predicates.equals("id", "7"))
    found = LanceRetriever(listening, SETTINGS).retrieve(query(sound_of(7)))
    assert "7" not in [one.reference_id for one in found.heard]
    assert listening.delete_orphan_frames() == 60
    assert rows(listening, "7") == 0


def test_a_library_from_before_there_was_sound_opens_and_takes_it_later(
    open_store: OpenStore,
) -> None:
    old = open_store()
    old.register([entry("old", seed=1), entry("other", seed=2)])
    old.tables.references.drop_columns(["sound_space", "sound_times_s", "sound_descriptors"])
    store = open_store(sound=SOUND)
    keys = read_keys(store.tables, SOUND)
    assert keys.is_unheard("old")
    assert not keys.is_unheard("never registered")
    sums = {one.id: one.sha256 for one in store.list().items}
    given = {"old": (sums["old"], sound_of(1)), "other": ("other bytes", sound_of(2))}
    assert store.add_sounds({**given, "deleted": ("", sound_of(3))}) == 1
    found = LanceRetriever(store, SETTINGS).retrieve(query(sound_of(1)))
    assert [one.reference_id for one in found.heard] == ["old"]
    keys = read_keys(open_store(sound=SOUND).tables, SOUND)
    assert not keys.is_unheard("old")
    assert keys.is_unheard("other")
    assert store.read_features(["old"])["old"].descriptors.shape == (20, 32)


def test_sound_added_twice_is_there_once_and_silence_is_remembered(
    open_store: OpenStore,
) -> None:
    store = open_store(sound=SOUND)
    store.register([heard("a", seed=1, sound=None), heard("b", seed=2, sound=None)])
    sums = {one.id: one.sha256 for one in store.list().items}
    sounds = {"a": (sums["a"], sound_of(1)), "b": (sums["b"], sound_of(1, 0))}
    assert [store.add_sounds(sounds), store.add_sounds(sounds)] == [2, 2]
    assert (rows(store, "a"), rows(store, "b")) == (40, 0)
    assert read_keys(store.tables, SOUND).unheard.size == 0


def test_sounds_of_another_space_are_not_stored_and_count_as_unheard(
    listening: LibraryStore, open_store: OpenStore
) -> None:
    newer: SoundSpec = replace(SOUND, weights_sha256="1" * 64)
    store = open_store(sound=newer)
    store.register([heard("new", seed=70, sound=sound_of(70))])
    assert store.read_features(["new", "1"])["1"].sound is None
    assert read_keys(store.tables, newer).unheard.size == 11
    assert read_keys(listening.tables, SOUND).unheard.size == 1


def test_sound_comes_back_from_a_copy_of_the_library(
    listening: LibraryStore, tmp_path: Path
) -> None:
    listening.export_references(tmp_path / "copy.parquet")
    restored = LibraryStore(
        str(tmp_path / "restored"), spec=listening.spec, sound=SOUND, settings=SETTINGS
    )
    assert restored.import_references(tmp_path / "copy.parquet") == 10
    found = LanceRetriever(restored, SETTINGS).retrieve(query(part(sound_of(7), 10, 30)))
    assert found.heard[0].reference_id == "7"
    assert rows(restored, "7") == 40


def test_upkeep_indexes_a_large_table_of_sound(open_store: OpenStore) -> None:
    settings = SETTINGS.model_copy(update={"ann_min_frames": 400})
    store = open_store(sound=SOUND, settings=settings)
    store.register([heard(f"{one}", seed=one, sound=sound_of(one, 60)) for one in range(10)])
    store.optimize()
    assert store.tables.audio_frames is not None
    assert "descriptor_idx" in index_names(store.tables.audio_frames)
    assert "descriptor_idx" not in index_names(store.tables.frames)
    assert store.index_health().index_type == "exact"
    found = LanceRetriever(store, settings).retrieve(query(part(sound_of(7, 60), 10, 30)))
    assert found.heard[0].reference_id == "7"
    before = store.version
    store.optimize(retrain=True)
    assert store.version - before <= 4  # compacted, and not trained again
