"""Claims about stretches of a reference that show one picture."""

from __future__ import annotations

import numpy as np

from dubl.index.retriever import LanceRetriever
from dubl.index.spans import MAX_STEPS, joined, moments, span_ends, span_starts
from dubl.index.store import LibraryStore
from tests.unit.index.videos import SETTINGS, entry, features_of, random_vectors

STILL_S, MOVING_S = 60, 20


def test_a_still_picture_is_one_span_and_a_slow_change_becomes_several() -> None:
    still = np.repeat(random_vectors(0, 1), 50, axis=0)
    features = features_of(np.concatenate([still, random_vectors(1, 3), still]))
    starts = span_starts(features.descriptors, features.timestamps_s)
    assert starts.tolist() == [0, 50, 51, 52, 53]
    assert span_ends(starts, 103).tolist() == [49, 50, 51, 52, 102]
    first, last = random_vectors(2, 2)
    fading = features_of(np.linspace(first, last, 200))
    count = len(span_starts(fading.descriptors, fading.timestamps_s))
    assert 3 < count < 20


def test_another_view_or_a_frame_without_a_picture_begins_anew() -> None:
    vectors = np.repeat(random_vectors(0, 1), 6, axis=0)
    times_s = np.array([0.0, 1, 2, 0, 1, 2])
    assert span_starts(features_of(vectors).descriptors, times_s).tolist() == [0, 3]
    vectors[2] = 0
    features = features_of(vectors)
    assert span_starts(features.descriptors, features.timestamps_s).tolist() == [0, 2, 3]


def test_no_frames_have_no_spans() -> None:
    nothing = features_of(np.zeros((0, 32)))
    starts = span_starts(nothing.descriptors, nothing.timestamps_s)
    assert len(starts) == len(span_ends(starts, 0)) == 0


def test_moments_reach_from_end_to_end() -> None:
    spans, times_s = moments(np.array([1.0, 5.0, 0.0]), np.array([1.0, 8.0, 900.0]))
    assert times_s[spans == 0].tolist() == [1.0]
    assert times_s[spans == 1].tolist() == [5.0, 6.5, 8.0]
    assert len(times_s[spans == 2]) == MAX_STEPS + 1
    assert times_s[spans == 2][[0, -1]].tolist() == [0.0, 900.0]


def test_a_copy_that_begins_within_a_still_keeps_its_timing(store: LibraryStore) -> None:
    still = np.repeat(random_vectors(0, 1), STILL_S, axis=0)
    reference = np.concatenate([still, random_vectors(1, MOVING_S)])
    store.register([entry("slides", features=features_of(reference)), entry("other", seed=5)])
    assert store.tables.frames.count_rows("reference_id = 'slides'") == 1 + MOVING_S
    start_s = 50
    found = LanceRetriever(store, SETTINGS).retrieve(features_of(reference[start_s:]))
    best = found.candidates[0]
    assert best.reference_id == "slides"
    # One search for the ten seconds of the still, and one for each moving frame.
    assert len(best.hits) == 1 + MOVING_S
    for hit in best.hits:
        assert abs(hit.reference_time_s - hit.query_time_s - start_s) <= 2


def test_stills_do_not_crowd_out_other_references(store: LibraryStore) -> None:
    picture = random_vectors(0, 1)
    stills = [
        entry(f"still-{number}", features=features_of(np.repeat(picture, 300, axis=0)))
        for number in range(3)
    ]
    moving = np.concatenate([picture, random_vectors(1, 9)])
    store.register([*stills, entry("moving", features=features_of(moving))])
    found = LanceRetriever(store, SETTINGS).retrieve(features_of(picture))
    assert {one.reference_id for one in found.candidates} >= {"moving", "still-0", "still-2"}


def test_a_picture_is_found_with_the_time_it_is_shown(store: LibraryStore) -> None:
    picture, other = random_vectors(0, 1), random_vectors(1, STILL_S)
    shown = [np.repeat(picture, count, axis=0) for count in (3, 1, 600)]
    film = np.concatenate([other[:10], shown[0], other[10:20], shown[1], other[20:30], shown[2]])
    store.register([entry("film", features=features_of(film))])
    (found,) = LanceRetriever(store, SETTINGS).find_frame(features_of(picture), limit=5)
    assert found.similarity > 0.99
    assert [(span.start_s, span.end_s) for span in found.spans] == [
        (10.0, 12.0),
        (23.0, 23.0),
        (34.0, 633.0),
    ]


def test_spans_of_several_views_are_one() -> None:
    from_s, until_s = np.array([9.0, 2.0, 3.0, 2.0]), np.array([9.0, 5.0, 4.0, 3.0])
    assert joined(from_s, until_s) == [(2.0, 5.0), (9.0, 9.0)]
    assert joined(from_s[:0], until_s[:0]) == []
