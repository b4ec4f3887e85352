"""Re-ranking compares the query with its best candidates and orders what it finds."""

import math
from dataclasses import replace

import numpy as np
import pytest

from dubl.contract.rights import parse_rights
from dubl.matching.calibration import Calibration
from dubl.matching.reranker import ViSiLReranker
from dubl.settings import MatchingSettings
from dubl.sound.alignment import align
from dubl.types import (
    FIRST_STREAM,
    Candidate,
    CandidateSet,
    Float64Array,
    SoundFeatures,
    SoundSpec,
    VideoFeatures,
)
from tests.unit.matching.features import MeanComparator, Shelf, video
from tests.unit.matching.footage import Film, film

CALIBRATION = Calibration(
    intercept=-8.0,
    weights={"similarity": 8.0, "motion": 8.0, "log_duration": 1.0},
    floor=0.35,
    level=0.45,
)
ORIGINAL, OTHER, HOST = film(1), film(2), film(3)


def candidates(*names: str) -> CandidateSet:
    return CandidateSet(
        candidates=tuple(
            Candidate(reference_id=name, library="main", score=0.5, hits=()) for name in names
        ),
        index_version=4,
        timings_ms={"retrieve": 1.0},
    )


def reranker(shelf: Shelf, **settings: int) -> ViSiLReranker:
    return ViSiLReranker(shelf, MeanComparator(), CALIBRATION, MatchingSettings(**settings))


def copy_of(source: Film, start_s: float, length_s: float, *, noise: float = 0.4) -> VideoFeatures:
    return video(lambda times: source(times + start_s), length_s, rate_hz=2.0, noise=noise)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf({"original": video(ORIGINAL, 40.0), "other": video(OTHER, 30.0)})


def test_a_copy_is_probable_and_its_seconds_are_told(shelf: Shelf) -> None:
    query = copy_of(ORIGINAL, 10.0, 15.0)
    found = reranker(shelf).rerank(query, candidates("other", "original"))
    best, second = found.matches
    assert (best.reference_id, best.library) == ("original", "main")
    assert best.probability > 0.95
    (segment,) = best.segments
    assert segment.reference_start_s == pytest.approx(10.0, abs=0.5)
    assert segment.query_end_s == pytest.approx(15.0, abs=0.5)
    assert second.probability < 0.1
    assert [one.terms[0].value for one in found.matches] == [2, 1]  # their places in the search
    for one in found.matches:
        assert [term.name for term in one.terms[:2]] == ["retrieval_rank", "base"]
        total = sum(term.log_odds for term in one.terms)
        assert 1 / (1 + math.exp(-total)) == pytest.approx(one.probability)
        assert one.limit is None
    assert found.index_version == 4


@pytest.mark.parametrize("phase_s", [0.0, 0.5, 1.0])
def test_another_video_that_flashes_up_hides_no_copy(shelf: Shelf, phase_s: float) -> None:
    """.6 s of each 1.5 s, in the rhythm of the sampling: two of three rows."""

    def flashed(times_s: Float64Array) -> Float64Array:
        foreign = (times_s + phase_s) % 1.5 < 0.6
        return np.where(foreign[:, None], HOST(times_s), ORIGINAL(times_s + 10.0))

    query = video(flashed, 15.0, rate_hz=2.0, noise=0.4)
    (match,) = reranker(shelf).rerank(query, candidates("original")).matches
    assert match.probability >= CALIBRATION.edge_ceiling
    (segment,) = match.segments
    assert segment.reference_start_s == pytest.approx(10.0, abs=1.0)
    assert segment.query_end_s - segment.query_start_s >= 12.5


def test_a_copy_that_flashes_up_in_another_video_is_no_longer_for_it(shelf: Shelf) -> None:
    def flashed(times_s: Float64Array) -> Float64Array:
        shown = times_s % 4.0 < 0.6
        return np.where(shown[:, None], ORIGINAL(times_s + 10.0), HOST(times_s))

    query = video(flashed, 16.0, rate_hz=2.0, noise=0.4)
    (match,) = reranker(shelf).rerank(query, candidates("original")).matches
    assert all(one.query_end_s - one.query_start_s < 1.5 for one in match.segments)


def test_a_candidate_without_a_common_stretch_stays_with_a_low_probability(shelf: Shelf) -> None:
    found = reranker(shelf).rerank(copy_of(HOST, 0.0, 20.0), candidates("original", "other"))
    assert [match.segments for match in found.matches] == [(), ()]
    assert max(match.probability for match in found.matches) < 0.01


def test_references_are_read_in_one_call_and_only_the_best(shelf: Shelf) -> None:
    names = ["original", "other", "third"]
    reranker(shelf, rerank_candidates=2).rerank(copy_of(HOST, 0, 8), candidates(*names))
    assert shelf.asked == [("original", "other")]


def test_a_reference_that_is_asked_for_is_compared_whatever_the_search_found(shelf: Shelf) -> None:
    query = copy_of(ORIGINAL, 10.0, 15.0)
    given = candidates("other")
    for asked in ("original", "other"):
        wanted = Candidate(reference_id=asked, library="main", score=0.0, hits=())
        found = reranker(shelf, rerank_candidates=1).rerank(query, replace(given, asked_for=wanted))
        ranks = {one.reference_id: one.terms[0].value for one in found.matches}
        assert ranks == ({"original": 0, "other": 1} if asked == "original" else {"other": 1})
    gone = replace(given, asked_for=replace(wanted, reference_id="gone"))
    assert [one.reference_id for one in reranker(shelf).rerank(query, gone).matches] == ["other"]


def test_a_reference_that_is_gone_is_left_out(shelf: Shelf) -> None:
    found = reranker(shelf).rerank(copy_of(ORIGINAL, 0, 9), candidates("gone", "original"))
    assert [match.reference_id for match in found.matches] == ["original"]


def test_no_candidates_make_no_matches(shelf: Shelf) -> None:
    found = reranker(shelf).rerank(copy_of(ORIGINAL, 0, 9), candidates())
    assert found.matches == ()
    assert shelf.asked == []


def test_the_time_it_took_is_added_to_the_others(shelf: Shelf) -> None:
    query = replace(copy_of(ORIGINAL, 0, 9), timings_ms={"embed": 2.0})
    timings = reranker(shelf).rerank(query, candidates("original")).timings_ms
    assert set(timings) == {"embed", "retrieve", "rerank"}


def test_a_view_of_part_of_the_frame_is_enough(shelf: Shelf) -> None:
    """The whole frame shows something else; one view of it shows the copy."""
    whole, part = copy_of(HOST, 0.0, 12.0), copy_of(ORIGINAL, 20.0, 12.0)
    query = VideoFeatures(
        descriptors=np.concatenate([whole.descriptors, part.descriptors]),
        region_features=np.concatenate([whole.region_features, part.region_features]),
        timestamps_s=np.concatenate([whole.timestamps_s, part.timestamps_s]),
        views=np.repeat(np.array([0, 1], dtype=np.uint8), len(whole.views)),
        duration_s=12.0,
        spec=whole.spec,
    )
    (match,) = reranker(shelf).rerank(query, candidates("original")).matches
    assert match.probability > 0.95
    assert match.segments[0].reference_start_s == pytest.approx(20.0, abs=0.6)


@pytest.mark.parametrize(("view", "told"), [(1, None), (FIRST_STREAM + 2, 2)])
def test_a_copy_in_another_video_stream_names_it(shelf: Shelf, view: int, told: int | None) -> None:
    shown, further = copy_of(HOST, 0.0, 12.0), copy_of(ORIGINAL, 20.0, 12.0)
    query = VideoFeatures(
        descriptors=np.concatenate([shown.descriptors, further.descriptors]),
        region_features=np.concatenate([shown.region_features, further.region_features]),
        timestamps_s=np.concatenate([shown.timestamps_s, further.timestamps_s]),
        views=np.repeat(np.array([0, view], dtype=np.uint8), len(shown.views)),
        duration_s=12.0,
        spec=shown.spec,
    )
    (match,) = reranker(shelf).rerank(query, candidates("original")).matches
    assert match.probability > 0.95
    assert match.video_stream == told


def test_a_stranger_from_the_same_room_is_less_probable_than_a_copy() -> None:
    """Frames are alike throughout, but what moves, moves otherwise."""
    room = film(9, shot_s=1e4, drift=0.0)

    def take(seed: int) -> Film:
        actor = film(seed, shot_s=1e4, drift=1.0)
        return lambda times: room(times) * 3.0 + actor(times)

    shelf = Shelf({"take": video(take(21), 20.0)})
    strict = replace(CALIBRATION, intercept=-13.0)
    judge = ViSiLReranker(shelf, MeanComparator(), strict, MatchingSettings())
    (copied, stranger) = (
        judge.rerank(video(take(seed), 12.0, rate_hz=2.0, noise=0.1), candidates("take")).matches[0]
        for seed in (21, 22)
    )
    assert stranger.similarity > 0.85
    assert copied.probability > 0.9
    assert stranger.probability < 0.5


def test_an_excluded_intro_does_not_count(shelf: Shelf) -> None:
    shelf.rights["original"] = parse_rights({"excluded_segments": [{"start_s": 0, "end_s": 12}]})
    found = reranker(shelf).rerank(copy_of(ORIGINAL, 0.0, 11.0), candidates("original", "other"))
    match = next(one for one in found.matches if one.reference_id == "original")
    assert match.segments == ()
    assert match.probability < 0.1
    assert match.excluded_s == pytest.approx(11.0, abs=1.0)


def test_a_copy_that_goes_on_behind_the_intro_is_cut_there(shelf: Shelf) -> None:
    shelf.rights["original"] = parse_rights({"excluded_segments": [{"start_s": 0, "end_s": 12}]})
    found = reranker(shelf).rerank(copy_of(ORIGINAL, 5.0, 20.0), candidates("original"))
    (match,) = found.matches
    (segment,) = match.segments
    assert match.probability > 0.9
    assert segment.reference_start_s == pytest.approx(12.0, abs=0.01)
    assert segment.query_start_s == pytest.approx(7.0, abs=0.5)
    assert found.rights == shelf.rights


def test_common_material_does_not_count_for_others(shelf: Shelf) -> None:
    intro = copy_of(ORIGINAL, 0.0, 12.0)
    both = Shelf({**shelf.videos, "intro": video(ORIGINAL, 12.0)})
    found = candidates("original")
    common = replace(candidates("intro").candidates[0], library="common")
    found = replace(found, candidates=(*found.candidates, common))
    settings = MatchingSettings(negative_libraries=("common",))
    judge = ViSiLReranker(both, MeanComparator(), CALIBRATION, settings)
    (match,) = judge.rerank(intro, found).matches
    assert (match.reference_id, match.segments) == ("original", ())
    assert match.probability < 0.1
    assert match.common_s == pytest.approx(12.0, abs=1.0)
    (match,) = judge.rerank(copy_of(ORIGINAL, 4.0, 24.0), found).matches
    assert match.probability > 0.9
    assert match.segments[0].reference_start_s == pytest.approx(12.0, abs=1.0)


@pytest.mark.parametrize(("agrees", "compared"), [(True, ["heard"]), (False, [])])
def test_pictures_of_a_reference_that_only_sound_proposed_are_compared_where_the_sound_agrees(
    agrees: bool, compared: list[str]
) -> None:
    ours = sound(1)
    theirs = ours if agrees else sound(2)
    shelf = Shelf({"heard": replace(video(OTHER, 30.0), sound=theirs)})
    found = ViSiLReranker(
        shelf, MeanComparator(), CALIBRATION, MatchingSettings(), align_sound=align
    ).rerank(
        replace(copy_of(HOST, 0, 20), sound=ours),
        CandidateSet(
            candidates=(),
            heard=candidates("heard").candidates,
            index_version=4,
            timings_ms={},
        ),
    )
    assert [one.reference_id for one in found.matches] == compared
    assert bool(found.heard["heard"].segments) is agrees
    assert shelf.asked == [(name,) for name in compared]  # what sound refutes costs no pictures


def sound(seed: int) -> SoundFeatures:
    """Twenty seconds of windows that are like no others."""
    vectors = np.random.default_rng(seed).standard_normal((40, 64))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return SoundFeatures(
        descriptors=vectors.astype(np.float16),
        times_s=np.arange(40) / 2,
        duration_s=21.5,
        spec=SoundSpec(
            model_id="made",
            weights_sha256="0",
            sample_rate_hz=8000,
            window_s=2,
            step_s=0.5,
            dims=64,
        ),
    )
