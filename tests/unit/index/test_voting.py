"""Claims about which frames of a query are searched for, and about the vote."""

from __future__ import annotations

import numpy as np

from dubl.index.spans import distinct_rows
from dubl.index.voting import Hits, vote
from tests.unit.index.videos import features_of, random_vectors


def test_still_and_returning_pictures_are_searched_for_once() -> None:
    shots = random_vectors(0, 3)
    vectors = np.repeat(shots[[0, 1, 0, 2]], 200, axis=0)
    vectors += 0.01 * random_vectors(1, 800)
    rows = distinct_rows(features_of(vectors).descriptors, limit=1000)
    assert rows.tolist() == [0, 200, 600]


def test_zero_rows_are_not_searched_for() -> None:
    vectors = random_vectors(0, 6)
    vectors[[0, 3]] = 0
    assert distinct_rows(features_of(vectors).descriptors, limit=9).tolist() == [1, 2, 4, 5]
    assert distinct_rows(features_of(np.zeros((2, 32))).descriptors, limit=9).size == 0


def test_of_too_many_frames_an_even_choice_is_searched_for() -> None:
    rows = distinct_rows(features_of(random_vectors(0, 101)).descriptors, limit=11)
    assert rows.tolist() == list(range(0, 101, 10))


def test_many_hits_of_one_query_frame_count_once() -> None:
    hits = Hits(
        query_times_s=np.array([0.0] * 5 + [0.0, 1.0]),
        references=np.array([0] * 5 + [1, 1]),
        reference_times_s=np.array([0.0, 0.2, 0.4, 0.6, 0.8, 10.0, 11.0]),
        similarities=np.array([0.8] * 7),
    )
    votes = vote(hits, reference_count=2, query_count=2, floor=0.0)
    np.testing.assert_allclose(votes.scores, [0.32, 0.64])


def test_no_hits_give_no_votes() -> None:
    empty = np.zeros(0)
    hits = Hits(
        query_times_s=empty,
        references=empty.astype(np.intp),
        reference_times_s=empty,
        similarities=empty,
    )
    assert vote(hits, reference_count=0, query_count=0, floor=0.3).scores.size == 0
