"""Calibration chooses telling pairs and parts copies from others."""

from pathlib import Path

import pytest

from dubl.errors import InvalidRequest
from dubl.evaluation.suite import SuiteTruth, TrueMatch, TrueQuery
from dubl.evaluation.suite_questions import (
    Question,
    choose_questions,
    read_sources,
    source_of,
)
from dubl.matching.calibration import Calibration, Signals, probability
from dubl.settings import Settings
from dubl.types import Segment, VideoFeatures
from pipelines.calibrate import Compared, calibrated, end_errors, figures_of, fitted, unseen_chances
from tests.unit.matching.features import MeanComparator, video
from tests.unit.matching.footage import film

NAMES = [f"r{number}" for number in range(6)]
REFERENCES = {name: video(film(number), 24.0) for number, name in enumerate(NAMES)}


def copy_of(number: int, noise: float) -> VideoFeatures:
    source = film(number)
    return video(lambda times: source(times + 4.0), 14.0, rate_hz=2.0, noise=noise)


def suite() -> tuple[SuiteTruth, dict[str, VideoFeatures]]:
    queries = {f"copy{number}": copy_of(number, 0.3 + 0.2 * number) for number in range(6)}
    queries |= {f"stranger{number}": copy_of(50 + number, 0.3) for number in range(6)}
    facts = {
        name: TrueQuery(
            attack="trim" if "copy" in name else "stranger",
            matches=(TrueMatch(reference=f"r{name[-1]}", q=(0, 14), r=(4, 18)),)
            if "copy" in name
            else (),
            duration_s=14.0,
        )
        for name in queries
    }
    return SuiteTruth(references=tuple(NAMES), queries=facts), queries


def questions(*, per_query: int) -> list[Question]:
    truth, queries = suite()
    return list(choose_questions(truth, queries, REFERENCES, sources={}, per_query=per_query))


def test_true_references_are_always_asked_about() -> None:
    asked = questions(per_query=1)
    true = {(one.name, name) for one in asked for name in one.references if one.copies(name)}
    assert true == {(f"copy{number}", f"r{number}") for number in range(6)}


def test_a_copy_is_also_a_stranger_to_a_library_without_its_original() -> None:
    copies = [one for one in questions(per_query=3) if one.name == "copy2"]
    assert [bool(one.truth) for one in copies] == [True, False]
    assert "r2" in copies[0].references
    assert "r2" not in copies[1].references
    assert len(copies[1].references) == 3


def test_a_query_is_not_compared_with_what_its_truth_leaves_out() -> None:
    truth, queries = suite()
    truth.queries["stranger0"] = TrueQuery(attack="stranger", matches=(), left_out=("r3", "r4"))
    found = choose_questions(truth, queries, REFERENCES, sources={}, per_query=6)
    asked = next(one for one in found if one.name == "stranger0")
    assert asked.references.keys() == {"r0", "r1", "r2", "r5"}


def test_videos_of_one_repository_are_one_source(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.json"
    manifest.write_text('[{"file": "a.mp4", "source_repo": "one"}]')
    sources = read_sources(manifest)
    assert source_of("stranger_001_a.webm", sources) == "one"
    assert source_of("other.mp4", sources) == "other.mp4"
    manifest.write_text("{}x")
    with pytest.raises(InvalidRequest):
        read_sources(manifest)


def test_copies_become_probable_and_others_do_not() -> None:
    found = calibrated(
        questions(per_query=3), MeanComparator(), Settings(), description="imaginary footage"
    )
    assert 0 < found.floor < 0.6
    assert found.figures["auc"] > 0.99
    assert found.figures["copies_at_0.5"] == 1.0
    assert found.figures["others_at_0.5"] == 0.0
    assert found.figures["strangers"] == 12
    assert found.figures["strangers_at_0.5"] == 0.0
    assert found.figures["median_end_error_s"] < 0.5
    assert found.description == "imaginary footage"


def test_figures_are_of_fits_that_did_not_see_the_source() -> None:
    """Two sources for which different signals tells: each is judged by the other's."""
    start = Calibration(intercept=0.0, weights={}, floor=0.2, level=0.3)
    compared = [
        pair_of("one", copy=copy, similarity=0.5 + 0.4 * copy + noise, motion=0.5 - 0.2 * copy)
        for copy in (True, False)
        for noise in (0.0, 0.02, 0.04)
    ] + [
        pair_of("other", copy=copy, similarity=0.5 - 0.2 * copy, motion=0.5 + 0.4 * copy + noise)
        for copy in (True, False)
        for noise in (0.0, 0.02, 0.04)
    ]
    seen = [probability(one.signals, fitted(compared, start)) for one in compared]
    assert figures_of(compared, seen)["auc"] == 1.0
    assert figures_of(compared, unseen_chances(compared, start))["auc"] < 0.6


def pair_of(source: str, *, copy: bool, similarity: float, motion: float) -> Compared:
    clip = video(film(1), 10.0)
    question = Question(
        name="q",
        attack="trim",
        source=source,
        query=clip,
        references={"r": clip},
        truth=(TrueMatch(reference="r", q=(0, 5), r=(2, 7)),) if copy else (),
    )
    segment = Segment(
        query_start_s=0.5,
        query_end_s=5.0,
        reference_start_s=2.5,
        reference_end_s=8.0,
        similarity=0.9,
    )
    signals = Signals(similarity=similarity, normalized_similarity=0.1, motion=motion)
    return Compared(question=question, reference="r", segments=(segment,), signals=signals)


def test_ends_are_judged_where_there_is_one_truth() -> None:
    copy = pair_of("s", copy=True, similarity=0.9, motion=0.5)
    assert end_errors(copy) == pytest.approx([0.5, 0.0, 0.5, 1.0])
    assert end_errors(pair_of("s", copy=False, similarity=0.9, motion=0.5)) == []
