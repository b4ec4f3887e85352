"""Metrics on cases small enough to work out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dubl.errors import InvalidRequest
from dubl.evaluation.metrics.detection import (
    Answer,
    average_precision,
    best_operating_point,
    bootstrap,
    false_positive_rate,
    grouped_average_precision,
    operating_point,
    recall_at_precision,
    strict_f1,
    wilson,
)
from dubl.evaluation.metrics.segments import (
    ScoredSegment,
    gains_ap,
    segment_gains,
    union_length,
)
from dubl.evaluation.metrics.vcsl import (
    VcslPair,
    vcsl_precision_recall,
    vcsl_report,
)


def micro_ap(relevant: list[bool], scores: list[float], positives: int) -> float:
    return grouped_average_precision(np.array(relevant), np.array(scores), positives=positives)


def segment_ap(predictions: list[ScoredSegment], truth: list[ScoredSegment]) -> float:
    return gains_ap([segment_gains(predictions, truth)])


def segment(
    query: tuple[float, float],
    reference: tuple[float, float],
    score: float = 1.0,
    pair_id: str = "a",
) -> ScoredSegment:
    return ScoredSegment(
        query_id=f"Q{pair_id}",
        reference_id=f"R{pair_id}",
        axes=(query, reference),
        score=score,
    )


# Descriptor µAP


def test_micro_ap_is_precision_at_each_true_positive_over_all_true_pairs() -> None:
    assert micro_ap([True, False, True], [0.9, 0.8, 0.7], 3) == pytest.approx((1 + 2 / 3) / 3)


def test_tied_scores_enter_together_whatever_their_order() -> None:
    assert micro_ap([True, False], [0.5, 0.5], 1) == micro_ap([False, True], [0.5, 0.5], 1) == 0.5


def test_nothing_predicted_scores_zero() -> None:
    assert micro_ap([], [], 1) == 0.0


# Segment AP


def test_perfect_segments_reach_one_and_touching_ones_count_as_one() -> None:
    truth = [segment((0, 10), (5, 15))]
    assert segment_ap(truth, truth) == pytest.approx(1.0)
    halves = [segment((0, 5), (5, 10)), segment((5, 10), (10, 15))]
    assert segment_ap(halves, truth) == pytest.approx(1.0)


def test_both_axes_must_be_right() -> None:
    truth = [segment((0, 10), (0, 10))]
    assert segment_ap([segment((0, 10), (20, 30))], truth) == 0.0


def test_half_a_segment_reaches_half_the_recall() -> None:
    assert segment_ap([segment((0, 5), (0, 5))], [segment((0, 10), (0, 10))]) == pytest.approx(0.5)


def test_predictions_on_wrong_pairs_cost_precision() -> None:
    truth = [segment((0, 10), (0, 10))]
    wrong = segment((0, 10), (0, 10), 0.9, pair_id="b")
    right = segment((0, 10), (0, 10), 0.8)
    assert segment_ap([wrong, right], truth) == pytest.approx(0.5)
    assert segment_ap([right, wrong], truth) == pytest.approx(0.5)


def test_equal_segment_scores_enter_together() -> None:
    truth = [segment((0, 10), (0, 10))]
    tied = [segment((0, 10), (0, 10), 0.5), segment((0, 10), (0, 10), 0.5, pair_id="b")]
    assert segment_ap(tied, truth) == segment_ap(tied[::-1], truth) == pytest.approx(0.5)


def test_segment_ap_without_truth_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        segment_ap([segment((0, 1), (0, 1))], [])


def test_union_merges_overlaps() -> None:
    assert union_length([(5.0, 6.0), (0.0, 2.0), (1.0, 3.0), (3.0, 4.0)]) == 5.0
    assert union_length([]) == 0.0


# VCSL


def test_vcsl_values_are_products_of_both_axes() -> None:
    one = VcslPair(predicted=[(0, 0, 10, 10)], truth=[(5, 0, 15, 10)])
    assert vcsl_precision_recall(one) == pytest.approx((0.5, 0.5), abs=1e-6)


@pytest.mark.parametrize(
    ("predicted", "truth", "expected"),
    [
        ([], [(0, 0, 1, 1)], (1.0, 0.0)),
        ([(0, 0, 1, 1)], [], (0.0, 1.0)),
        ([], [], (1.0, 1.0)),
        ([(0, 0, 1, 1)], [(1, 0, 2, 1)], (0.0, 0.0)),
    ],
)
def test_vcsl_degenerate_pairs(
    predicted: list[tuple[float, float, float, float]],
    truth: list[tuple[float, float, float, float]],
    expected: tuple[float, float],
) -> None:
    assert vcsl_precision_recall(VcslPair(predicted=predicted, truth=truth)) == expected


def test_vcsl_report_leaves_degenerate_ones_out() -> None:
    exact = VcslPair(predicted=[(0, 0, 10, 10)], truth=[(0, 0, 10, 10)])
    missed = VcslPair(predicted=[], truth=[(0, 0, 10, 10)])
    alarm = VcslPair(predicted=[(0, 0, 10, 10)], truth=[])
    quiet = VcslPair(predicted=[], truth=[])
    report = vcsl_report([exact, missed, alarm, quiet])
    assert report.precision == pytest.approx(0.5, abs=1e-6)
    assert report.recall == pytest.approx(0.5, abs=1e-6)


# FIVR


def test_relevant_videos_that_were_not_returned_count_as_missed() -> None:
    relevant, scores = np.array([True, False, True]), np.array([0.9, 0.8, 0.7])
    assert average_precision(relevant, scores, positives=4) == pytest.approx((1 + 2 / 3) / 4)


# Detection


def copy(found: str, score: float) -> Answer:
    return Answer(expected=frozenset({"a"}), found=found, score=score)


def original(score: float) -> Answer:
    return Answer(expected=frozenset(), found="x", score=score)


ANSWERS = [copy("a", 0.9), copy("a", 0.8), original(0.7), copy("b", 0.6), copy("a", 0.5)]


def test_the_right_alarm_for_the_wrong_reference_is_an_error_twice() -> None:
    assert strict_f1([copy("a", 0.9), copy("b", 0.9)], 0.5) == pytest.approx(2 / (2 + 1 + 1))


def test_operating_point_counts_answers_at_the_threshold() -> None:
    point = operating_point(ANSWERS, 0.8)
    assert (point.precision, point.recall) == (1.0, 0.5)
    assert point.f1 == pytest.approx(4 / 6)


def test_recall_at_full_precision_stops_before_the_first_error() -> None:
    point = recall_at_precision(ANSWERS)
    assert (point.threshold, point.recall) == (0.8, 0.5)
    tied = [*ANSWERS, original(0.8)]
    assert recall_at_precision(tied).recall == 0.25
    assert recall_at_precision([original(0.9)]).recall == 0.0


def test_best_point_maximizes_strict_f1() -> None:
    best = best_operating_point(ANSWERS)
    assert best.f1 == max(strict_f1(ANSWERS, answer.score) for answer in ANSWERS)


def test_false_positive_rate_looks_at_originals_only() -> None:
    answers = [copy("b", 0.9), original(0.9), *[original(0.1)] * 9]
    rate = false_positive_rate(answers, 0.5)
    assert rate.value == 0.1
    assert rate.low == pytest.approx(0.0179, abs=1e-4)
    assert rate.high == pytest.approx(0.4042, abs=1e-4)


def test_wilson_interval_stays_open_where_nothing_was_seen() -> None:
    assert wilson(0, 0) == (0.0, 0.0, 1.0)
    assert wilson(0, 100).low == 0.0
    assert wilson(0, 100).high == pytest.approx(0.0370, abs=1e-4)
    assert wilson(100, 100).high == 1.0


def test_bootstrap_interval_holds_the_value_and_repeats_with_its_seed() -> None:
    items = [float(number % 5) for number in range(100)]
    one = bootstrap(lambda values: float(np.mean(values)), items, rounds=200)
    two = bootstrap(lambda values: float(np.mean(values)), items, rounds=200)
    assert one == two
    assert one.low < one.value < one.high
    assert one.high - one.low == pytest.approx(4 * 1.41 / 10, rel=0.2)
