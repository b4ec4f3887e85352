"""A match counts for as much as it stands out among what else is there."""

from __future__ import annotations

import numpy as np
import pytest

from dubl.matching.score_normalization import NO_BACKGROUND, ScoreNormalizer
from dubl.types import Float16Array, Segment, VideoFeatures
from tests.unit.matching.features import video
from tests.unit.matching.footage import film

QUERY = video(film(1), 10.0, rate_hz=2.0)
COPY = video(film(1), 10.0)
WHOLE = Segment(
    query_start_s=0.0,
    query_end_s=10.0,
    reference_start_s=0.0,
    reference_end_s=10.0,
    similarity=0.9,
)
USUAL = 0.3


def strangers(count: int) -> dict[str, VideoFeatures]:
    return {f"stranger{number}": video(film(50 + number), 10.0) for number in range(count)}


def background_of(
    references: dict[str, VideoFeatures],
    name: str = "original",
    background: Float16Array = NO_BACKGROUND,
) -> float:
    return ScoreNormalizer(
        QUERY, references, usual_background=USUAL, background=background
    ).background(name, WHOLE)


def test_references_that_look_like_the_query_raise_the_background() -> None:
    unrelated = {"original": COPY, **strangers(5)}
    one_room = {"original": COPY, **{f"take{n}": video(film(1), 10.0, noise=0.3) for n in range(5)}}
    assert background_of(unrelated) < 0.5
    assert background_of(one_room) > 0.85


def test_two_more_copies_in_the_library_do_not_raise_the_background() -> None:
    assert background_of({"original": COPY, "again": COPY, "once more": COPY, **strangers(4)}) < 0.5


def test_a_small_library_has_the_usual_background() -> None:
    assert background_of({"original": COPY}) == pytest.approx(USUAL)
    assert background_of({}) == pytest.approx(USUAL)


def test_what_looks_like_the_background_does_not_stand_out() -> None:
    assert background_of({"original": COPY}, background=QUERY.descriptors[::2]) > 0.8
    nothing = np.zeros((0, QUERY.descriptors.shape[1]), dtype=np.float16)
    assert background_of({"original": COPY}, background=nothing) == pytest.approx(USUAL)


def test_only_the_instants_of_the_segment_count() -> None:
    late = video(lambda times: film(1)(times + 5.0), 5.0, rate_hz=2.0)
    takes = {"original": COPY, "a": late, "b": late, "c": late}
    normalizer = ScoreNormalizer(QUERY, takes, usual_background=USUAL)
    first, second = (
        Segment(
            query_start_s=start_s,
            query_end_s=start_s + 4.0,
            reference_start_s=start_s,
            reference_end_s=start_s + 4.0,
            similarity=0.9,
        )
        for start_s in (0.0, 5.5)
    )
    assert (
        normalizer.background("original", first) < 0.7 < normalizer.background("original", second)
    )


def test_empty_videos_do_no_harm() -> None:
    empty = video(film(1), 1.0, times=np.zeros(0))
    assert background_of({"original": COPY, "empty": empty}) == pytest.approx(USUAL)
    assert (
        ScoreNormalizer(empty, {"original": COPY}, usual_background=USUAL).background("x", WHOLE)
        == USUAL
    )
