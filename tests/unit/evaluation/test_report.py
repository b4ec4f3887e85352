"""The report shows the worst cases and draws what was measured."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from dubl.evaluation.benchmark.findings import judge, pair_micro_ap
from dubl.evaluation.benchmark.run import SuiteRun
from dubl.evaluation.peers import Peers
from dubl.evaluation.report.cases import misses, moments_of, varied, worst_false_pairs
from dubl.evaluation.report.writing import report_page, staircase, time_shares
from dubl.evaluation.suite import Failure, SuiteTruth, TrueMatch, TrueQuery
from dubl.settings import Settings
from dubl.types import Outcome, Verdict
from tests.unit.evaluation.answers import match, query, scored, true


def test_the_most_probable_wrong_pair_comes_first() -> None:
    queries = [
        query("copy", match("a", 0.99), match("b", 0.6), copies=(true("a"),)),
        query("other", match("a", 0.8), attack="stranger"),
    ]
    found = worst_false_pairs(queries)
    assert [(one.query.name, one.match.reference_id) for one in found] == [
        ("other", "a"),
        ("copy", "b"),
    ]


def test_misses_name_what_was_found_instead_and_start_with_the_least_probable() -> None:
    queries = [
        query("weak", match("a", 0.4), copies=(true("a"),)),
        query("wrong", match("b", 0.7), match("a", 0.1), copies=(true("a"),)),
        query("found", match("a", 0.95), copies=(true("a"),)),
        query("original", match("a", 0.1), attack="stranger"),
    ]
    found = misses(queries, 0.9)
    assert [one.query.name for one in found] == ["wrong", "weak"]
    assert [one.found_instead for one in found] == ["b", ""]


def test_pictures_show_at_most_two_misses_of_an_edit() -> None:
    edits = ["crop"] * 5 + ["blur"]
    queries = [query(str(n), copies=(true("a"),), attack=edit) for n, edit in enumerate(edits)]
    assert [one.query.attack for one in varied(misses(queries, 0.9))] == ["crop", "crop", "blur"]


def test_moments_of_a_reversed_copy_run_backwards_in_the_reference() -> None:
    moments = moments_of((0, 4), (10, 14), backwards=True)
    assert moments[0] == pytest.approx((0.5, 13.5))
    assert moments[-1] == pytest.approx((3.5, 10.5))


def test_the_area_under_the_curve_of_pairs_is_micro_ap() -> None:
    rng = np.random.default_rng(0)
    queries = [
        scored(str(n), "a", {name: round(float(rng.uniform()), 1) for name in "abcd"})
        for n in range(20)
    ]
    points = staircase(queries)
    area = sum((right[0] - left[0]) * right[1] for left, right in pairwise(points))
    assert area == pytest.approx(pair_micro_ap(queries))


def test_shares_of_time_sum_to_one() -> None:
    shares = time_shares({"decode": 30.0, "embed": 10.0, "total": 99.0})
    assert shares == {"decode": 0.75, "embed": 0.25}
    assert time_shares({}) == {}


def test_names_and_errors_stay_in_their_cells() -> None:
    name = "a|b.mp4"
    truth = TrueQuery(attack="crop", matches=(TrueMatch(reference="a", q=(0, 10), r=(0, 10)),))
    failure = Failure(video="queries/bad.mp4", code="not_a_video", detail="two\nlines | here")
    found = match("b", 0.7)
    verdict = Verdict(
        outcome=Outcome.REVIEW,
        probability=0.7,
        matches=(found,),
        model_id="m",
        policy_version="1",
        index_version=1,
    )
    run = SuiteRun(
        truth=SuiteTruth(references=("a", "b"), queries={name: truth}),
        settings=Settings(),
        model_id="m",
        space_id="s",
        verdicts={name: verdict},
        failures=(failure,),
        same_as={},
        durations_s={},
        reference_timings={},
    )
    findings = judge(Path("suite"), run, Peers(ready=(), skipped={"x": "why | not"}))
    wrong = worst_false_pairs(findings.queries)
    page = report_page(findings, wrong, misses(findings.queries, 0.9))
    assert "| queries/bad.mp4 | not_a_video | two lines \\| here |" in page
    assert "| 0.700 | a\\|b.mp4 | b | crop |" in page
    assert "| x | – | – | – | – | – | why \\| not |" in page
    assert "**0 of 1** copies" in page
