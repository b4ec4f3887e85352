"""References that are copies of one another are known as such, and weaken no copy of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dubl.matching.reranker import ViSiLReranker
from dubl.matching.versions import versions
from dubl.settings import MatchingSettings
from dubl.types import Segment, VideoFeatures
from tests.unit.matching.features import MeanComparator, Shelf, video
from tests.unit.matching.footage import Film, film
from tests.unit.matching.test_reranker import CALIBRATION, candidates, copy_of

CALM = film(4, shot_s=1e4, drift=0.1)
MIN_CHANGE = 0.6


def found(reference_start_s: float, *, speed: float = 1.0, backwards: bool = False) -> Segment:
    """Six seconds of a query."""
    return Segment(
        query_start_s=0.0,
        query_end_s=6.0,
        reference_start_s=reference_start_s,
        reference_end_s=reference_start_s + 6.0 * speed,
        similarity=0.8,
        reversed=backwards,
    )


def take(seed: int, start_s: float = 0.0, *, speed: float = 1.0) -> Film:
    """An actor of his own in a room that all takes share."""
    room, actor = film(9, shot_s=1e4, drift=0.0), film(seed, drift=1.0)
    return lambda times: 3.0 * room(times) + actor(start_s + speed * times)


def are_versions(second: VideoFeatures, segment: Segment) -> bool:
    references = {"one": video(take(21), 40.0, noise=0.1), "other": second}
    segments = {"one": found(10.0), "other": segment}
    return bool(versions(references, segments, min_change=MIN_CHANGE)["one"])


def test_versions_may_start_elsewhere_run_faster_or_backwards() -> None:
    assert are_versions(video(take(21, 4.0), 36.0, noise=0.3), found(6.0))
    assert are_versions(video(take(21, speed=2.0), 20.0, noise=0.3), found(5.0, speed=0.5))
    assert are_versions(
        video(take(21, 40.0, speed=-1.0), 40.0, noise=0.3), found(24.0, backwards=True)
    )


def test_other_takes_in_the_same_room_are_no_versions() -> None:
    assert not are_versions(video(take(22), 40.0, noise=0.1), found(10.0))


def test_the_same_film_at_another_second_is_no_version_there() -> None:
    assert not are_versions(video(take(21), 40.0), found(17.0))


def test_references_without_a_common_second_of_the_query_are_not_compared() -> None:
    late = replace(found(10.0), query_start_s=6.0, query_end_s=12.0)
    assert not are_versions(video(take(21), 40.0), late)


@pytest.mark.parametrize("noise", [0.5, 0.7])
def test_more_versions_of_a_film_make_its_short_calm_copy_no_less_probable(noise: float) -> None:
    strict = replace(
        CALIBRATION,
        intercept=-10.0,
        weights={**CALIBRATION.weights, "normalized_similarity": 8.0},
    )

    def probable(count: int) -> float:
        shelf = Shelf({f"v{number}": video(CALM, 40.0, noise=0.1) for number in range(count)})
        judge = ViSiLReranker(shelf, MeanComparator(), strict, MatchingSettings())
        query = copy_of(CALM, 10.0, 6.0, noise=noise)
        best = judge.rerank(query, candidates(*shelf.videos)).matches[0]
        assert best.ceiling == 1.0
        return best.probability

    assert probable(5) == pytest.approx(probable(1), abs=0.02)
