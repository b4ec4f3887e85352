"""A verdict is a copy, and not licensed here and now."""

from __future__ import annotations

import pytest

from dubl.contract.rights import parse_rights
from dubl.matching.decision import decide, needs_second_pass
from dubl.matching.licensing import rule
from dubl.rights.terms import UNRESTRICTED, Action, CheckContext, Reason, Rights
from dubl.settings import PolicySettings
from dubl.types import LibraryPolicy, Match, MatchSet, Outcome, PriorDecisions, Segment

POLICY = PolicySettings(duplicate_probability=0.9, review_probability=0.5)
NOW = CheckContext(time="2026-06-01T00:00:00.000Z", territory="DE", channel="kids")
LICENSE = {"from": "2026-01-01", "until": "2027-01-01", "territories": ["DE"], "channels": ["kids"]}


def match(name: str = "film", probability: float = 0.99, *, length_s: float = 10.0) -> Match:
    segment = Segment(
        query_start_s=2.0,
        query_end_s=2.0 + length_s,
        reference_start_s=5.0,
        reference_end_s=5.0 + length_s,
        similarity=0.9,
    )
    return Match(
        reference_id=name,
        library="main",
        similarity=0.9,
        probability=probability,
        segments=(segment,),
    )


def licensed(**change: object) -> Rights:
    return parse_rights({"license_windows": [LICENSE | change]})


def test_a_copy_without_a_license_counts() -> None:
    ruling = rule(match(), UNRESTRICTED, NOW)
    assert (ruling.counts, ruling.licensed) == (True, False)
    assert ruling.reason == "no license is registered"
    assert ruling.copied_s == 10.0


def test_a_license_covers_a_copy_where_and_when_it_says() -> None:
    ruling = rule(match(), licensed(), NOW)
    assert (ruling.counts, ruling.licensed) == (False, True)
    assert ruling.reason == "licensed for kids in DE until 2027-01-01T00:00:00.000Z"


@pytest.mark.parametrize(
    ("change", "context", "code", "said"),
    [
        ({"until": "2026-06-01"}, NOW, Reason.ENDED, "ended 2026-06-01"),
        ({"from": "2026-06-02"}, NOW, Reason.NOT_YET, "begins 2026-06-02"),
        ({"territories": ["FR"]}, NOW, Reason.OTHER_TERRITORY, "not for DE"),
        ({"channels": ["news"]}, NOW, Reason.OTHER_CHANNEL, "not for kids"),
        (
            {},
            CheckContext(time=NOW.time, channel="kids"),
            Reason.OTHER_TERRITORY,
            "the check named none",
        ),
    ],
)
def test_elsewhere_and_at_other_times_it_does_not(
    change: dict[str, object], context: CheckContext, code: Reason, said: str
) -> None:
    ruling = rule(match(), licensed(**change), context)
    assert ruling.counts
    assert ruling.reason_code is code
    assert said in ruling.reason


def test_of_several_licenses_the_one_that_nearly_fits_is_told() -> None:
    windows = [LICENSE | {"territories": ["FR"], "channels": ["news"]}, LICENSE | {"from": None}]
    assert rule(match(), parse_rights({"license_windows": windows}), NOW).licensed
    windows[1] = LICENSE | {"until": "2026-05-01"}
    ruling = rule(match(), parse_rights({"license_windows": windows}), NOW)
    assert ruling.reason_code is Reason.ENDED
    assert "FR" not in ruling.reason


def test_an_owner_who_allows_copies_needs_no_license() -> None:
    ruling = rule(match(), Rights(action=Action.ALLOW), NOW)
    assert (ruling.licensed, ruling.counts) == (True, False)


def test_what_is_shorter_than_the_owner_minds_does_not_count() -> None:
    rights = Rights(min_copied_s=10.5)
    assert not rule(match(length_s=10.0), rights, NOW).counts
    assert rule(match(length_s=11.0), rights, NOW).counts


def test_a_licensed_copy_is_unique_and_shown_behind_what_counts() -> None:
    found = MatchSet(
        matches=(match("licensed", 0.999), match("film", 0.7)),
        index_version=1,
        rights={"licensed": licensed()},
    )
    verdict = decide(found, POLICY, model_id="m", context=NOW)
    assert (verdict.outcome, verdict.probability) == (Outcome.REVIEW, 0.7)
    assert [one.reference_id for one in verdict.matches] == ["film", "licensed"]
    alone = MatchSet(matches=found.matches[:1], index_version=1, rights=found.rights)
    verdict = decide(alone, POLICY, model_id="m", context=NOW)
    assert (verdict.outcome, verdict.action) == (Outcome.UNIQUE, Action.ALLOW)
    assert verdict.matches[0].rights.licensed


def test_the_strictest_owner_is_obeyed() -> None:
    rights = {"a": Rights(action=Action.TRACK), "b": Rights(action=Action.MONETIZE)}
    found = (match("a", 0.99), match("b", 0.95), match("c", 0.6))
    verdict = decide(
        MatchSet(matches=found, index_version=1, rights=rights),
        POLICY,
        model_id="m",
        context=NOW,
    )
    assert (verdict.outcome, verdict.action) == (Outcome.DUPLICATE, Action.MONETIZE)


def test_a_reference_in_quarantine_goes_to_a_person_and_blocks_nothing() -> None:
    found = MatchSet(matches=(match("flood", 0.999), match("film", 0.6)), index_version=1)
    prior = PriorDecisions(quarantined=frozenset({"flood"}))
    verdict = decide(found, POLICY, model_id="m", context=NOW, prior=prior)
    assert (verdict.outcome, verdict.probability) == (Outcome.REVIEW, 0.999)
    flood = next(one for one in verdict.matches if one.reference_id == "flood")
    assert flood.rights.quarantined
    assert flood.rights.reason_code is Reason.QUARANTINED
    alone = MatchSet(matches=(match("flood"),), index_version=1)
    verdict = decide(alone, POLICY, model_id="m", context=NOW, prior=prior)
    assert (verdict.outcome, verdict.action) == (Outcome.REVIEW, Action.TRACK)
    both = MatchSet(matches=(match("flood", 0.999), match("film", 0.95)), index_version=1)
    verdict = decide(both, POLICY, model_id="m", context=NOW, prior=prior)
    assert verdict.outcome is Outcome.DUPLICATE
    assert verdict.matches[0].reference_id == "film"


def test_a_library_has_thresholds_and_a_version_of_its_own() -> None:
    own = LibraryPolicy(
        library="main",
        number=3,
        duplicate_probability=0.6,
        review_probability=0.2,
        decisions=40,
        created_at="",
    )
    prior = PriorDecisions(policies={"main": own})
    for probability, outcome in ((0.7, Outcome.DUPLICATE), (0.3, Outcome.REVIEW)):
        found = MatchSet(matches=(match("film", probability),), index_version=1)
        verdict = decide(found, POLICY, model_id="m", context=NOW, prior=prior)
        assert (verdict.outcome, verdict.policy_version) == (outcome, f"{POLICY.version}+main.3")
        assert verdict.matches[0].outcome is outcome
        plain = decide(found, POLICY, model_id="m", context=NOW)
        assert plain.policy_version == POLICY.version
        assert plain.outcome is not outcome


def test_a_library_that_is_sure_sooner_is_not_looked_at_again() -> None:
    own = LibraryPolicy(
        library="main",
        number=1,
        duplicate_probability=0.6,
        review_probability=0.2,
        decisions=40,
        created_at="",
    )
    found = MatchSet(matches=(match("film", 0.7),), index_version=1)
    sure = decide(found, POLICY, model_id="m", prior=PriorDecisions(policies={"main": own}))
    assert not needs_second_pass(sure, POLICY)
    assert needs_second_pass(decide(found, POLICY, model_id="m"), POLICY)
