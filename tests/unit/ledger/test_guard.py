"""The flood guard holds what suddenly matches everything, until a person decides."""

from __future__ import annotations

import dataclasses
import logging
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dubl.errors import InvalidRequest, NotFound, StateConflict
from dubl.ledger import guard
from dubl.ledger.ledger import Ledger
from dubl.matching.thresholds import fit_thresholds
from dubl.settings import FloodSettings, PolicySettings
from dubl.types import (
    Check,
    Decision,
    Match,
    Outcome,
    QuarantineState,
    Segment,
    ThresholdReport,
    Verdict,
)

FLOOD = FloodSettings(window_s=3600, history_s=10 * 3600, least=5, factor=3)
Flow = Callable[..., None]


@pytest.fixture
def ledger(place: str) -> Iterator[Ledger]:
    ledger = Ledger(place, flood=FLOOD)
    yield ledger
    ledger.close()


def check(
    number: int, hour: int, *, probability: float = 0.95, reference_id: str = "film"
) -> Check:
    match = Match(
        reference_id=reference_id,
        library="main",
        similarity=0.8,
        probability=probability,
        segments=(),
        outcome=Outcome.DUPLICATE if probability >= 0.5 else Outcome.UNIQUE,
    )
    return Check(
        id=f"{reference_id}-{hour}-{number}",
        query_name="upload.mp4",
        query_sha256=f"{hour}-{number}",
        libraries=(),
        created_at=f"2026-01-02T{hour:02d}:{number:02d}:00.000Z",
        verdict=Verdict(
            outcome=Outcome.DUPLICATE,
            probability=probability,
            matches=(match,),
            model_id="m",
            policy_version="1",
            index_version=1,
        ),
    )


def record(ledger: Ledger, *checks: Check) -> None:
    for one in checks:
        ledger.record_check(one)


def test_a_sudden_flood_is_held_and_told(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    record(ledger, *(check(number, 1) for number in range(4)))
    assert ledger.guard.held() == frozenset()
    with caplog.at_level(logging.WARNING):
        record(ledger, *(check(number, 1) for number in range(4, 8)))
    assert ledger.prior_decisions("x").quarantined == frozenset(), "a flood warns, and no more"
    (held,) = ledger.guard.list(state=QuarantineState.HELD)
    assert (held.reference_id, held.uploads) == ("film", 5)
    assert len([one for one in caplog.records if "film" in one.message]) == 1


def test_checks_that_are_answered_hours_late_are_held_against_the_hour_of_their_acceptance(
    ledger: Ledger,
) -> None:
    record(ledger, *(check(number, hour) for hour in range(1, 9) for number in range(2)))
    record(ledger, *(check(number, 9) for number in range(4)))
    record(ledger, check(30, 8))
    assert ledger.guard.held() == frozenset(), "what came since is not new to them"


def test_a_flood_is_held_in_whichever_order_its_checks_are_answered(ledger: Ledger) -> None:
    record(ledger, *(check(number, 5) for number in reversed(range(40))))
    assert ledger.guard.held() == {"film"}


def test_what_always_matches_much_is_not_held(ledger: Ledger) -> None:
    record(ledger, *(check(number, hour) for hour in range(1, 9) for number in range(3)))
    record(ledger, *(check(number, 9) for number in range(7)))
    assert ledger.guard.held() == frozenset()


def test_one_upload_checked_again_and_again_is_no_flood(ledger: Ledger) -> None:
    same = [dataclasses.replace(check(number, 1), query_sha256="same") for number in range(20)]
    record(
        ledger, *same, *(check(number, 1, probability=0.1, reference_id="b") for number in range(9))
    )
    assert ledger.guard.held() == frozenset()


def test_one_copy_with_bytes_appended_to_it_is_no_flood(ledger: Ledger) -> None:
    def copy(number: int, *, start_s: float) -> Check:
        one = check(number, 1)
        segment = Segment(
            query_start_s=start_s,
            query_end_s=start_s + 9.0,
            reference_start_s=0.0,
            reference_end_s=9.0,
            similarity=0.9,
        )
        match = dataclasses.replace(
            one.verdict.matches[0], segments=(segment,), similarity=0.8 + number * 1e-4
        )
        return dataclasses.replace(one, verdict=dataclasses.replace(one.verdict, matches=(match,)))

    record(ledger, *(copy(number, start_s=2.0) for number in range(20)))
    assert ledger.guard.held() == frozenset()
    record(ledger, *(copy(number, start_s=2.0 * number) for number in range(20, 25)))
    assert ledger.guard.held() == {"film"}


def test_uploads_that_a_look_back_finds_are_no_flood(ledger: Ledger) -> None:
    """They came before the reference did."""
    found = [dataclasses.replace(check(number, 1), earlier_id="first") for number in range(9)]
    record(ledger, *found, *(check(number, 2) for number in range(4)))
    assert ledger.guard.held() == frozenset()
    record(ledger, check(4, 2))
    assert ledger.guard.held() == {"film"}


def test_a_ledger_that_is_opened_again_knows_what_matched_before(place: str) -> None:
    for first, last in ((0, 4), (4, 5)):
        ledger = Ledger(place, flood=FLOOD)
        record(ledger, *(check(number, 1) for number in range(first, last)))
        held = ledger.guard.held()
        ledger.close()
    assert held == {"film"}


@pytest.mark.parametrize("seed", range(3))
def test_the_rule_holds_for_each_check_of_a_busy_day(ledger: Ledger, seed: int) -> None:
    """However few of them are counted in the ledger."""
    rng = random.Random(seed)
    seen: list[tuple[int, str, str]] = []  # minute, reference, upload
    held: set[str] = set()
    for number, minute in enumerate(sorted(rng.randrange(8 * 60) for _ in range(250))):
        reference = rng.choice(["hit", "hit", "rare", "late" if minute > 400 else "rare"])
        one = check(minute % 60, minute // 60, reference_id=reference)
        one = dataclasses.replace(one, id=f"{number}", query_sha256=f"{rng.randrange(90)}")
        record(ledger, one)
        seen.append((minute, reference, one.query_sha256))
        mine = [(at, upload) for at, name, upload in seen if name == reference]
        now = {upload for at, upload in mine if at >= minute - 60}
        before = {upload for at, upload in mine if at < minute - 60}
        if len(now) >= FLOOD.least and len(now) >= FLOOD.factor * len(before) / 9:
            held.add(reference)
        assert ledger.guard.held() == held


def test_few_checks_are_counted_in_the_ledger(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[object] = []
    counted = guard.looked_into

    def look(*args: Any) -> list[tuple[str, guard.Traffic]]:
        looks.append(args)
        return counted(*args)

    monkeypatch.setattr(guard, "looked_into", look)
    record(ledger, *(check(number, hour) for hour in range(1, 8, 2) for number in range(4)))
    assert looks == []
    record(ledger, *(check(number, 9) for number in range(60)))
    assert 0 < len(looks) < 40


def test_of_several_matches_those_that_are_flooded_are_held(ledger: Ledger) -> None:
    for number in range(5):
        film, other = check(number, 1), check(number, 1, reference_id="other")
        both = film.verdict.matches + (other.verdict.matches if number < 4 else ())
        verdict = dataclasses.replace(film.verdict, matches=both)
        record(ledger, dataclasses.replace(film, verdict=verdict))
    assert ledger.guard.held() == {"film"}


def test_a_person_releases_it_and_as_much_is_usual_then(ledger: Ledger) -> None:
    record(ledger, *(check(number, 1) for number in range(5)))
    released = ledger.guard.decide(
        "film", state=QuarantineState.RELEASED, reviewer="anna", note="a hit"
    )
    assert (released.state, released.reviewer) == (QuarantineState.RELEASED, "anna")
    record(ledger, *(check(number, 1) for number in range(5, 14)))
    assert ledger.guard.held() == frozenset()
    record(ledger, *(check(number, 1) for number in range(14, 16)))
    assert ledger.guard.held() == {"film"}


def test_a_person_keeps_it(ledger: Ledger) -> None:
    record(ledger, *(check(number, 1) for number in range(5)))
    ledger.guard.decide("film", state=QuarantineState.KEPT, reviewer="anna", note="")
    record(ledger, *(check(number, 2) for number in range(6)))
    (kept,) = ledger.guard.list()
    assert (kept.state, kept.uploads) == (QuarantineState.KEPT, 5)
    assert ledger.guard.held() == {"film"}
    assert ledger.prior_decisions("x").quarantined == {"film"}


def test_the_quarantine_of_a_deleted_reference_is_not_that_of_its_id(ledger: Ledger) -> None:
    record(ledger, *(check(number, 1) for number in range(5)))
    ledger.guard.decide("film", state=QuarantineState.KEPT, reviewer="anna", note="")
    ledger.forget_reference("film")
    assert ledger.guard.held() == ledger.prior_decisions("x").quarantined == frozenset()


def test_there_must_be_something_to_decide(ledger: Ledger) -> None:
    with pytest.raises(NotFound):
        ledger.guard.decide("film", state=QuarantineState.KEPT, reviewer="", note="")
    record(ledger, *(check(number, 1) for number in range(5)))
    ledger.guard.decide("film", state=QuarantineState.RELEASED, reviewer="", note="")
    with pytest.raises(StateConflict):
        ledger.guard.decide("film", state=QuarantineState.RELEASED, reviewer="", note="")


def judge(ledger: Ledger, count: int, decide: Callable[[int], Decision]) -> None:
    for number in range(count):
        one = check(number, 1, probability=0.5 + number / (2.1 * count))
        record(ledger, one)
        ledger.reviews.record(one.id, "film", decision=decide(number), reviewer="anna", note="")


def calibrated(ledger: Ledger, library: str, *, adopt: bool = True) -> ThresholdReport:
    report = fit_thresholds(
        ledger.policies.decided_matches(library), PolicySettings(), least_decisions=30
    )
    if adopt:
        ledger.policies.adopt(
            library,
            duplicate=report.duplicate_probability,
            review=report.review_probability,
            decisions=report.decisions,
        )
    return report


def test_decisions_make_thresholds_that_are_versioned_and_withdrawn(ledger: Ledger) -> None:
    judge(ledger, 50, lambda number: Decision.REJECTED if number < 35 else Decision.CONFIRMED)
    policy = PolicySettings()
    tried = calibrated(ledger, "main", adopt=False)
    assert (tried.decisions, tried.copies) == (50, 15)
    assert ledger.policies.current() == {}
    calibrated(ledger, "main")
    calibrated(ledger, "main")
    own = ledger.prior_decisions("x").policies["main"]
    assert (own.number, own.decisions) == (2, 50)
    assert own.duplicate_probability == pytest.approx(tried.duplicate_probability)
    assert own.duplicate_probability > policy.duplicate_probability
    ledger.policies.withdraw("main")
    assert ledger.policies.current() == {}
    assert ledger.policies.adopt("main", duplicate=0.8, review=0.4, decisions=50).number == 3


def test_other_libraries_have_no_decisions(ledger: Ledger) -> None:
    judge(ledger, 40, lambda number: Decision.REJECTED if number % 2 else Decision.LICENSED)
    with pytest.raises(InvalidRequest, match="0 decided matches"):
        calibrated(ledger, "films")


def test_reopened_and_repeated_decisions_count_as_they_stand(ledger: Ledger) -> None:
    judge(ledger, 3, lambda _: Decision.CONFIRMED)
    for decision in (Decision.REJECTED, Decision.COMMENT):
        ledger.reviews.record("film-1-0", "film", decision=decision, reviewer="", note="x")
    ledger.reviews.record("film-1-1", "film", decision=Decision.REOPENED, reviewer="", note="")
    assert sorted(one.copied for one in ledger.policies.decided_matches("main")) == [False, True]
