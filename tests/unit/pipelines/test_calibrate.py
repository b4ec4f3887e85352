"""Calibration chooses telling pairs and parts copies from others."""

import pytest

from dubl.evaluation.suite_truth import SuiteTruth, TrueMatch, TrueQuery
from dubl.matching.calibration import Evidence
from dubl.settings import Settings
from dubl.types import Segment, VideoFeatures
from pipelines.calibrate import Compared, Pair, calibrated, choose_pairs, end_errors
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


def test_true_references_are_always_among_the_pairs() -> None:
    truth, queries = suite()
    pairs = list(choose_pairs(truth, queries, REFERENCES, per_query=1))
    true = {(pair.query_name, pair.reference_name) for pair in pairs if pair.truth}
    assert true == {(f"copy{number}", f"r{number}") for number in range(6)}
    assert {pair.query_name for pair in pairs} == set(queries)


def test_copies_become_probable_and_others_do_not() -> None:
    truth, queries = suite()
    pairs = list(choose_pairs(truth, queries, REFERENCES, per_query=3))
    found = calibrated(pairs, MeanComparator(), Settings(), description="imaginary footage")
    assert 0 < found.floor < 0.6
    assert found.figures["auc"] > 0.99
    assert found.figures["copies_at_0.5"] == 1.0
    assert found.figures["others_at_0.5"] == 0.0
    assert found.figures["median_end_error_s"] < 0.5
    assert found.description == "imaginary footage"


def test_ends_are_judged_where_there_is_one_truth() -> None:
    clip = video(film(1), 10.0)
    truth = TrueMatch(reference="r", q=(0, 5), r=(2, 7))
    segment = Segment(
        query_start_s=0.5,
        query_end_s=5.0,
        reference_start_s=2.5,
        reference_end_s=8.0,
        similarity=0.9,
    )
    pair = Pair(
        query_name="q",
        reference_name="r",
        attack="trim",
        query=clip,
        reference=clip,
        truth=(truth,),
    )
    compared = Compared(pair=pair, segments=(segment,), evidence=Evidence())
    assert end_errors(compared) == pytest.approx([0.5, 0.0, 0.5, 1.0])
    assert end_errors(Compared(pair=pair, segments=(), evidence=Evidence())) == []
