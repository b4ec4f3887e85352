"""Claims about which feature space answers, and about what the other one says meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dubl.errors import StateConflict
from dubl.ledger.ledger import Ledger
from dubl.types import Check, Comparison, Job, JobKind, JobState, Outcome, Shadow, Verdict

OLD, NEW = "aaaaaaaaaaaa", "bbbbbbbbbbbb"


@pytest.fixture
def ledger(place: str) -> Iterator[Ledger]:
    made = Ledger(place)
    yield made
    made.close()


def job(name: str) -> Job:
    return Job(
        id=name,
        kind=JobKind.CHECK,
        state=JobState.QUEUED,
        subject_id=name,
        request={},
        created_at="2026-01-01T00:00:00.000Z",
    )


def check(name: str, outcome: Outcome) -> Check:
    verdict = Verdict(
        outcome=outcome,
        probability=0.5,
        matches=(),
        model_id="old@1",
        policy_version="1",
        index_version=1,
    )
    return Check(
        id=name,
        query_name=name,
        query_sha256=name,
        libraries=(),
        created_at="2026-01-01T00:00:00.000Z",
        verdict=verdict,
    )


def shadow(name: str, outcome: Outcome, *, agrees: bool) -> Shadow:
    return Shadow(
        check_id=name,
        space_id=NEW,
        model_id="new@2",
        outcome=outcome,
        probability=0.5,
        top_reference_id="",
        agrees=agrees,
        created_at="2026-01-01T00:00:01.000Z",
    )


def test_nothing_was_chosen_at_first(ledger: Ledger) -> None:
    assert ledger.spaces.current() == ""
    assert ledger.spaces.history() == ()
    assert ledger.jobs.create(job("a"), tries=3, lease_s=60).space_id == ""


def test_a_job_that_is_handed_out_carries_the_space_that_answers_then(ledger: Ledger) -> None:
    before = ledger.jobs.create(job("a"), tries=3, lease_s=60)
    for name in ("b", "c", "d"):
        ledger.jobs.create(job(name), tries=3)
    ledger.spaces.switch(NEW, previous_id=OLD, by="key", note="better")
    (claimed,) = ledger.jobs.claim(limit=1, lease_s=60)
    named = ledger.jobs.claim_one("c", lease_s=60)
    assert named is not None
    created = ledger.jobs.create(job("e"), tries=3, lease_s=60)
    assert [one.space_id for one in (before, claimed, named, created)] == ["", NEW, NEW, NEW]
    assert ledger.jobs.get("d").space_id == ""


def test_a_switch_is_there_when_the_ledger_is_opened_again(place: str) -> None:
    first = Ledger(place)
    made = first.spaces.switch(NEW, previous_id=OLD, by="key", note="better")
    first.close()
    again = Ledger(place)
    assert again.spaces.current() == NEW
    assert again.spaces.history() == (made,)
    assert (made.space_id, made.previous_id, made.by, made.note) == (NEW, OLD, "key", "better")
    again.close()


def test_a_rollback_takes_the_last_switch_back_once(ledger: Ledger) -> None:
    with pytest.raises(StateConflict):
        ledger.spaces.rollback(by="", note="")
    ledger.spaces.switch(NEW, previous_id=OLD, by="", note="")
    assert ledger.spaces.rollback(by="", note="worse").space_id == OLD
    assert ledger.spaces.current() == OLD
    with pytest.raises(StateConflict):
        ledger.spaces.rollback(by="", note="")
    ledger.spaces.switch(NEW, previous_id=OLD, by="", note="")
    assert [one.space_id for one in ledger.spaces.history()] == [NEW, OLD, NEW]
    assert [one.rollback for one in ledger.spaces.history()] == [False, True, False]


def test_a_switch_from_a_space_that_does_not_answer_is_refused(ledger: Ledger) -> None:
    ledger.spaces.switch(NEW, previous_id=OLD, by="", note="")
    for space_id, previous_id in ((NEW, OLD), (NEW, NEW)):
        with pytest.raises(StateConflict, match=NEW):
            ledger.spaces.switch(space_id, previous_id=previous_id, by="", note="")


def test_shadows_are_counted_against_the_answers(ledger: Ledger) -> None:
    asked = {
        "a": (Outcome.DUPLICATE, Outcome.DUPLICATE, True),
        "b": (Outcome.DUPLICATE, Outcome.DUPLICATE, False),
        "c": (Outcome.DUPLICATE, Outcome.UNIQUE, False),
        "d": (Outcome.UNIQUE, Outcome.UNIQUE, True),
    }
    for name, (answered, other, agrees) in asked.items():
        ledger.record_check(check(name, answered))
        ledger.spaces.record_shadow(shadow(name, other, agrees=agrees))
    ledger.spaces.record_shadow(shadow("a", Outcome.UNIQUE, agrees=False))  # done twice
    assert ledger.spaces.comparisons(since="2026-01-01T00:00:02.000Z") == {}
    assert ledger.spaces.comparisons() == {
        NEW: Comparison(count=4, agreed=2, differing={(Outcome.DUPLICATE, Outcome.UNIQUE): 1})
    }
