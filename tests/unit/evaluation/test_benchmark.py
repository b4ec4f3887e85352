"""Figures say what was found, and only that."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from dubl.errors import SourceNotFound
from dubl.evaluation.benchmark.answers import AnsweredQuery, answered_queries, end_errors
from dubl.evaluation.benchmark.findings import (
    decision_figures,
    edit_rows,
    original_rows,
    pair_curve,
    pair_micro_ap,
    pair_recall,
    query_mean_ap,
    ranking_figures,
    recall_by_edit,
    segment_figures,
)
from dubl.evaluation.benchmark.run import SuiteRun
from dubl.evaluation.suite import UNTIMED, SuiteTruth, TrueQuery, find_video, load_truth
from dubl.settings import PolicySettings, Settings
from dubl.types import Outcome, Verdict
from tests.unit.evaluation.answers import match, query, scored, true

POLICY = PolicySettings(duplicate_probability=0.9, review_probability=0.5)
MINIMAL = """{"queries": {"a.mp4": {"attack": "crop", "maker": "other", "matches":
 [{"reference": "r.mp4", "q": [0, 4], "r": [1, 5], "note": 1}]},
 "b.mp4": {"attack": "stranger", "matches": []}, "c.mp4": {"attack": "stranger"}},
 "references": ["r.mp4"], "version": 3}"""


def some_queries() -> list[AnsweredQuery]:
    """Three copies (sure, doubtful, missed), a stranger and a hard negative that is flagged."""
    return [
        query("sure", match("a", 0.99), match("b", 0.2), copies=(true("a"),)),
        query("doubtful", match("b", 0.6), copies=(true("b"),), attack="blur"),
        query("missed", match("a", 0.7), copies=(true("c"),), attack="blur"),
        query("other", match("a", 0.1), attack="stranger"),
        query("alike", match("a", 0.95), attack="shared_intro"),
    ]


def test_a_truth_of_another_maker_needs_only_the_minimal_format(tmp_path: Path) -> None:
    (tmp_path / "truth.json").write_text(MINIMAL)
    truth = load_truth(tmp_path)
    assert truth.references == ("r.mp4",)
    assert truth.queries["a.mp4"].matches[0].r == (1, 5)
    assert truth.queries["b.mp4"].matches == truth.queries["c.mp4"].matches == ()


def test_a_file_is_found_by_its_name_with_or_without_suffix(tmp_path: Path) -> None:
    (tmp_path / "clip.v2.mp4").touch()
    assert find_video(tmp_path, "clip.v2.mp4") == find_video(tmp_path, "clip.v2")
    with pytest.raises(SourceNotFound):
        find_video(tmp_path, "clip")


def test_micro_ap_ranks_pairs_of_all_queries_together() -> None:
    queries = [
        scored("x", "a", {"a": 0.9, "b": 0.8}),
        scored("y", "b", {"b": 0.7}),
        scored("z", "", {"a": 0.1}),
    ]
    assert pair_micro_ap(queries) == pytest.approx((1 + 2 / 3) / 2)


def test_the_mean_ap_leaves_out_queries_that_copy_nothing() -> None:
    queries = [scored("x", "a", {"b": 0.9, "a": 0.8}), scored("z", "", {"a": 0.9})]
    assert query_mean_ap(queries) == 0.5


def test_recall_at_precision_1_counts_true_pairs_above_every_false_one() -> None:
    queries = [
        scored("x", "a", {"a": 0.9, "b": 0.8}),
        scored("y", "b", {"b": 0.8}),
        scored("z", "c", {}),
    ]
    assert pair_recall(queries, precision=1.0) == pytest.approx(1 / 3)
    assert pair_recall(queries, precision=0.6) == pytest.approx(2 / 3)
    assert pair_curve(queries) == [(0.9, 1 / 3, 1.0), (0.8, 2 / 3, 2 / 3)]


def test_drawing_a_query_twice_in_the_bootstrap_is_no_error() -> None:
    queries = [scored(str(n), "a", {"a": 0.5 + n / 10, "b": 0.1 * n}) for n in range(4)]
    found = ranking_figures(queries)["micro_ap"]
    assert found.low <= found.value <= found.high


def test_equal_probabilities_rank_by_similarity_and_a_failed_query_has_no_matches() -> None:
    matches = (match("a", 0.8, similarity=0.3), match("b", 0.8, similarity=0.9))
    facts = {name: TrueQuery(attack="crop", matches=(true("twin"),)) for name in ("x", "broken")}
    verdict = Verdict(
        outcome=Outcome.REVIEW,
        probability=0.8,
        matches=matches,
        model_id="m",
        policy_version="1",
        index_version=1,
    )
    run = SuiteRun(
        truth=SuiteTruth(references=("a", "b", "twin"), queries=facts),
        settings=Settings(),
        model_id="m",
        space_id="s",
        verdicts={"x": verdict},
        failures=(),
        same_as={"twin": "b"},
        durations_s={},
        reference_timings={},
    )
    answered, broken = answered_queries(run)
    assert answered.ranks[1] > answered.ranks[0]
    assert answered.expected == {"b"}, "bytes registered twice are one reference"
    assert broken.matches == ()
    assert not broken.found_at(0.0)


def test_shipped_thresholds_decide() -> None:
    figures = decision_figures(some_queries(), POLICY)
    assert figures["recall_duplicate"].value == pytest.approx(1 / 3)
    assert figures["recall_review"].value == pytest.approx(2 / 3)
    assert figures["strict_f1_duplicate"].value == pytest.approx(2 * 1 / (2 + 3))
    assert figures["false_positives_strangers_duplicate"].value == 0
    assert figures["false_positives_strangers_duplicate"].high > 0.7
    assert figures["false_positives_hard_negatives_duplicate"].value == 1
    assert figures["false_positives_all_duplicate"].value == 0.5


def test_seconds_are_judged_over_what_the_service_shows() -> None:
    exact = query("exact", match("a", 0.9), copies=(true("a"),))
    hidden = query("hidden", match("a", 0.4, q=(0, 2), r=(0, 2)), copies=(true("a"),))
    figures = segment_figures([exact, hidden], POLICY)
    assert figures["vcsl_precision"].value == pytest.approx(1, abs=1e-5)
    assert figures["vcsl_recall"].value == pytest.approx(0.5, abs=1e-5)
    assert figures["end_error_median_s"].value == 0
    assert figures["segment_ap"].value > 0.5


def test_each_piece_is_compared_with_the_segment_that_overlaps_it_most() -> None:
    pieces = (true("a", q=(0, 5), r=(10, 15)), true("a", q=(20, 25), r=(0, 5)))
    found = query(
        "q",
        match("a", 0.9, q=(0.5, 5), r=(10.5, 15)),
        copies=pieces,
    )
    assert end_errors(found, 0.5) == pytest.approx([0.5, 0.5, 0, 0])
    assert end_errors(found, 0.95) == []


def test_the_table_of_edits_starts_with_the_weakest_edit() -> None:
    rows = edit_rows(some_queries(), POLICY)
    assert [row.edit for row in rows] == ["blur", "crop"]
    blur, crop = rows
    assert (blur.count, blur.duplicate.value, blur.review.value) == (2, 0, 0.5)
    assert crop.duplicate.value == crop.top.value == 1
    assert not math.isnan(blur.end_error_s)


def test_a_peer_that_finds_nothing_has_no_clean_copies() -> None:
    queries = [scored("x", "a", {"a": 0.5, "b": 0.5}), scored("y", "b", {})]
    assert recall_by_edit(queries, precision=1.0)["crop"].value == 0
    assert recall_by_edit(queries, precision=0.5)["crop"].value == 0.5


def test_originals_are_listed_by_kind_with_their_most_probable_answer() -> None:
    rows = {row.kind: row for row in original_rows(some_queries(), POLICY)}
    assert rows["shared_intro"].duplicate.value == 1
    assert rows["stranger"].highest == pytest.approx(0.1)


def test_queries_without_references_and_empty_results_give_figures() -> None:
    nothing = [query("x", copies=(true("a"),)), query("y", attack="stranger")]
    figures = {
        **ranking_figures([one.scored for one in nothing]),
        **segment_figures(nothing, POLICY),
    }
    assert figures["micro_ap"].value == 0
    assert figures["segment_ap"].value == 0
    assert np.isnan(figures["end_error_median_s"].value)


def test_copies_without_times_have_no_figures_of_segments() -> None:
    untimed = true("a", q=UNTIMED, r=UNTIMED)
    queries = [
        query("sure", match("a", 0.99), copies=(untimed,)),
        query("other", attack="stranger"),
    ]
    figures = segment_figures(queries, POLICY)
    assert figures
    assert all(math.isnan(one.value) for one in figures.values())
    assert ranking_figures([one.scored for one in queries])["micro_ap"].value == 1
