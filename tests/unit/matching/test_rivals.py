"""A match counts for as much as it stands out among what else is there."""

from __future__ import annotations

import numpy as np
import pytest

from dubl.matching.rivals import NO_BACKGROUND, Rivals
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


def rival(
    references: dict[str, VideoFeatures],
    name: str = "original",
    background: Float16Array = NO_BACKGROUND,
) -> float:
    return Rivals(QUERY, references, usual=USUAL, background=background).similarity(name, WHOLE)


def test_references_that_look_like_the_query_are_rivals() -> None:
    unrelated = {"original": COPY, **strangers(5)}
    one_room = {"original": COPY, **{f"take{n}": video(film(1), 10.0, noise=0.3) for n in range(5)}}
    assert rival(unrelated) < 0.5
    assert rival(one_room) > 0.85


def test_two_more_copies_in_the_library_are_no_rivals_yet() -> None:
    assert rival({"original": COPY, "again": COPY, "once more": COPY, **strangers(4)}) < 0.5


def test_a_small_library_has_the_usual_rivals() -> None:
    assert rival({"original": COPY}) == pytest.approx(USUAL)
    assert rival({}) == pytest.approx(USUAL)


def test_what_looks_like_the_background_does_not_stand_out() -> None:
    assert rival({"original": COPY}, background=QUERY.descriptors[::2]) > 0.8
    nothing = np.zeros((0, QUERY.descriptors.shape[1]), dtype=np.float16)
    assert rival({"original": COPY}, background=nothing) == pytest.approx(USUAL)


def test_only_the_instants_of_the_segment_count() -> None:
    late = video(lambda times: film(1)(times + 5.0), 5.0, rate_hz=2.0)
    takes = {"original": COPY, "a": late, "b": late, "c": late}
    rivals = Rivals(QUERY, takes, usual=USUAL)
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
    assert rivals.similarity("original", first) < 0.7 < rivals.similarity("original", second)


def test_empty_videos_do_no_harm() -> None:
    empty = video(film(1), 1.0, times=np.zeros(0))
    assert rival({"original": COPY, "empty": empty}) == pytest.approx(USUAL)
    assert Rivals(empty, {"original": COPY}, usual=USUAL).similarity("x", WHOLE) == USUAL
