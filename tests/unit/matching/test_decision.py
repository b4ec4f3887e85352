"""Outcomes follow from the most probable match and the policy's thresholds."""

from dataclasses import replace

import pytest

from dubl.matching.decision import (
    agree,
    decide,
    doubtful_references,
    more_probable,
    needs_second_pass,
)
from dubl.rights.terms import Action, Rights
from dubl.settings import PolicySettings
from dubl.types import Match, MatchSet, Note, Outcome, PriorDecisions, Segment

POLICY = PolicySettings(version="7", duplicate_probability=0.9, review_probability=0.5)
SEGMENT = Segment(
    query_start_s=0.0,
    query_end_s=8.0,
    reference_start_s=0.0,
    reference_end_s=8.0,
    similarity=0.8,
)


def matches(*probabilities: float) -> MatchSet:
    return MatchSet(
        matches=tuple(
            Match(
                reference_id=f"r{number}",
                library="main",
                similarity=probability,
                probability=probability,
                segments=(SEGMENT,),
            )
            for number, probability in enumerate(probabilities)
        ),
        index_version=3,
        timings_ms={"rerank": 5.0},
    )


@pytest.mark.parametrize(
    ("probability", "outcome"),
    [
        (1.0, Outcome.DUPLICATE),
        (0.9, Outcome.DUPLICATE),
        (0.899, Outcome.REVIEW),
        (0.5, Outcome.REVIEW),
        (0.499, Outcome.UNIQUE),
        (0.0, Outcome.UNIQUE),
    ],
)
def test_a_threshold_belongs_to_the_outcome_above_it(probability: float, outcome: Outcome) -> None:
    assert decide(matches(probability), POLICY, model_id="m").outcome == outcome


def test_a_query_that_shows_nothing_copies_nothing() -> None:
    blank = replace(matches(0.99), notes=(Note.NOTHING_TO_SEE,))
    verdict = decide(blank, POLICY, model_id="m")
    assert (verdict.outcome, verdict.probability, verdict.matches) == (Outcome.UNIQUE, 0.0, ())
    assert verdict.notes == (Note.NOTHING_TO_SEE,)


def test_no_match_is_unique_with_probability_zero() -> None:
    verdict = decide(matches(), POLICY, model_id="m")
    assert (verdict.outcome, verdict.probability, verdict.matches) == (Outcome.UNIQUE, 0.0, ())


def test_the_best_match_decides_and_all_are_reported() -> None:
    verdict = decide(matches(0.95, 0.2), POLICY, model_id="m")
    assert verdict.outcome == Outcome.DUPLICATE
    assert verdict.probability == 0.95
    assert [match.reference_id for match in verdict.matches] == ["r0", "r1"]


def test_a_verdict_says_what_it_was_made_with() -> None:
    verdict = decide(matches(0.1), POLICY, model_id="m")
    assert (verdict.model_id, verdict.policy_version, verdict.index_version) == ("m", "7", 3)
    assert verdict.timings_ms == {"rerank": 5.0}


@pytest.mark.parametrize(
    ("probability", "doubtful"), [(0.019, False), (0.02, True), (0.899, True), (0.9, False)]
)
def test_what_is_neither_nothing_nor_sure_is_looked_at_again(
    probability: float, doubtful: bool
) -> None:
    verdict = decide(matches(probability), POLICY, model_id="m")
    assert needs_second_pass(verdict, POLICY) == doubtful


@pytest.mark.parametrize(("first", "second"), [(0.3, 0.95), (0.6, 0.1)])
def test_the_more_probable_pass_counts_and_both_took_time(first: float, second: float) -> None:
    passes = [decide(matches(one), POLICY, model_id="m") for one in (first, second)]
    verdict = more_probable(*passes)
    assert verdict.probability == max(first, second)
    assert verdict.timings_ms == {"rerank": 10.0}


def test_a_rejected_match_counts_for_nothing_and_comes_last() -> None:
    verdict = decide(
        matches(0.99, 0.6), POLICY, model_id="m", prior=PriorDecisions(rejected=frozenset({"r0"}))
    )
    assert (verdict.outcome, verdict.probability) == (Outcome.REVIEW, 0.6)
    assert [(one.reference_id, one.rejected) for one in verdict.matches] == [
        ("r1", False),
        ("r0", True),
    ]


@pytest.mark.parametrize(
    ("answered", "other", "same"),
    [
        ((0.95, 0.2), (0.99,), True),
        ((0.95,), (0.6,), False),
        ((0.1,), (), True),
        ((0.6, 0.55), (0.1, 0.7), True),
    ],
)
def test_models_agree_in_outcome_and_on_a_reference(
    answered: tuple[float, ...], other: tuple[float, ...], same: bool
) -> None:
    told, shadow = (decide(matches(*one), POLICY, model_id="m") for one in (answered, other))
    assert agree(told, shadow) is same


def test_a_match_with_another_reference_is_no_agreement() -> None:
    told = decide(matches(0.95, 0.1), POLICY, model_id="m")
    shadow = decide(matches(0.1, 0.95), POLICY, model_id="m")
    assert told.outcome == shadow.outcome
    assert not agree(told, shadow)


@pytest.mark.parametrize(
    ("probabilities", "wanted"),
    [
        ((), []),
        ((0.01,), []),
        ((0.02,), ["r0"]),
        ((0.95, 0.3, 0.01), ["r0", "r1"]),
        ((0.97, 0.3), []),
        ((0.9, 0.8, 0.7, 0.6), ["r0", "r1", "r2"]),
    ],
)
def test_unsettled_are_the_most_probable_ones_where_none_is_sure(
    probabilities: tuple[float, ...], wanted: list[str]
) -> None:
    policy = PolicySettings(second_pass_probability=0.02, sure_probability=0.97)
    found = doubtful_references(matches(*probabilities), policy)
    assert list(found) == wanted


def test_what_counts_for_nothing_settles_nothing() -> None:
    given = matches(0.99, 0.93, 0.5)
    policy = PolicySettings(second_pass_probability=0.02, sure_probability=0.97)
    assert doubtful_references(given, policy) == ()
    rejected = PriorDecisions(rejected=frozenset({"r0"}), quarantined=frozenset(), policies={})
    assert doubtful_references(given, policy, prior=rejected) == ("r1", "r2")
    allowed = replace(given, rights={"r0": Rights(action=Action.ALLOW)})
    assert doubtful_references(allowed, policy) == ("r1", "r2")


def test_a_match_without_a_segment_cannot_be_looked_at() -> None:
    bare = replace(matches(0.5), matches=(replace(matches(0.5).matches[0], segments=()),))
    assert doubtful_references(bare, POLICY) == ()
