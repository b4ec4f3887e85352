"""Outcomes follow from the most probable match and the policy's thresholds."""

from dataclasses import replace

import pytest

from dubl.matching.decision import (
    MAX_PIXEL_CHECKS,
    agree,
    decide,
    doubtful_references,
    more_probable,
    needs_second_pass,
)
from dubl.rights.terms import Action, Rights
from dubl.settings import PolicySettings
from dubl.types import LibraryPolicy, Match, MatchSet, Note, Outcome, PriorDecisions, Segment

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


def at(identifier: str, probability: float, start_s: float, end_s: float) -> Match:
    """A match over these seconds of the query."""
    (one,) = matches(probability).matches
    segment = replace(SEGMENT, query_start_s=start_s, query_end_s=end_s)
    return replace(one, reference_id=identifier, segments=(segment,))


def found_at(*those: Match) -> MatchSet:
    return replace(matches(), matches=those)


@pytest.mark.parametrize(
    ("other", "again"), [((0.0, 8.0), False), ((7.5, 8.5), False), ((8.0, 11.0), True)]
)
def test_a_doubtful_match_beside_a_duplicate_is_looked_at_again_if_it_adds_seconds(
    other: tuple[float, float], again: bool
) -> None:
    given = found_at(at("sure", 0.99, 0.0, 8.0), at("doubtful", 0.6, *other))
    verdict = decide(given, POLICY, model_id="m")
    assert needs_second_pass(verdict, POLICY) is again
    assert (doubtful_references(given, POLICY) == ("doubtful",)) is again


def test_every_reference_of_a_compilation_is_looked_at() -> None:
    pieces = [at(f"r{number}", 0.8, 3.0 * number, 3.0 * number + 3) for number in range(6)]
    assert len(doubtful_references(found_at(*pieces), POLICY)) == 6
    versions = [replace(one, reference_id=f"{one.reference_id} again") for one in pieces[:1] * 5]
    assert len(doubtful_references(found_at(*versions), POLICY)) == MAX_PIXEL_CHECKS


@pytest.mark.parametrize(("first", "second"), [(0.3, 0.95), (0.6, 0.1)])
def test_the_more_probable_pass_counts_and_both_took_time(first: float, second: float) -> None:
    found = more_probable(matches(first), matches(second))
    assert [one.probability for one in found.matches] == [max(first, second)]
    assert found.timings_ms == {"rerank": 10.0}


def test_each_reference_counts_as_in_its_more_probable_pass() -> None:
    first = found_at(at("a", 0.95, 0.0, 4.0), at("b", 0.2, 4.0, 8.0))
    second = found_at(at("b", 0.92, 4.0, 8.0), at("a", 0.5, 0.0, 4.0), at("c", 0.1, 0.0, 4.0))
    found = more_probable(first, second)
    assert [(one.reference_id, one.probability) for one in found.matches] == [
        ("a", 0.95),
        ("b", 0.92),
        ("c", 0.1),
    ]


def test_a_duplicate_by_its_library_s_own_threshold_outlives_a_more_probable_review() -> None:
    """The strict library's match is more probable, and sends the video to review at most."""
    strict = replace(at("strict", 0.95, 0.0, 8.0), library="strict")
    own = LibraryPolicy(
        library="strict",
        number=1,
        duplicate_probability=0.99,
        review_probability=0.5,
        decisions=30,
        created_at="",
    )
    passes = found_at(at("own", 0.92, 0.0, 8.0)), found_at(strict, at("own", 0.6, 0.0, 8.0))
    prior = PriorDecisions(policies={"strict": own})
    verdict = decide(more_probable(*passes), POLICY, model_id="m", prior=prior)
    assert verdict.outcome is Outcome.DUPLICATE
    assert verdict.matches[0].reference_id == "own"


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


def test_sure_matches_with_versions_of_one_another_are_unsettled() -> None:
    policy = PolicySettings(second_pass_probability=0.02, sure_probability=0.97)
    given = matches(
        0.99, 0.98, 0.97, 0.3
    )  # the third is seen beside them, in a part of the picture
    alike = {"r0": frozenset({"r1", "r3"}), "r1": frozenset({"r0"}), "r3": frozenset({"r0"})}
    assert doubtful_references(given, policy) == ()
    assert doubtful_references(replace(given, alike=alike), policy) == ("r0", "r1")
    below = replace(matches(0.99, 0.91), alike={"r0": frozenset({"r1"})})
    assert doubtful_references(below, policy) == ("r0",)


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
