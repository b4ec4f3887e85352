"""Decisions of people on matches: what waits, what holds, what is remembered."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dubl.errors import EvidenceNotKept, InvalidRequest, NotFound
from dubl.ledger.clock import utc_now
from dubl.ledger.ledger import Ledger
from dubl.rights.terms import Ruling
from dubl.types import Check, Decision, Match, Outcome, ReviewItem, ReviewState, Verdict

BYTES = "ab" * 32


@pytest.fixture
def ledger(place: str) -> Iterator[Ledger]:
    ledger = Ledger(place)
    yield ledger
    ledger.close()


def match(reference_id: str, probability: float) -> Match:
    return Match(
        reference_id=reference_id,
        library="main",
        similarity=0.8,
        probability=probability,
        segments=(),
    )


def check(check_id: str, *matches: Match, minute: int = 0, sha256: str = BYTES) -> Check:
    return Check(
        id=check_id,
        query_name=f"{check_id}.mp4",
        query_sha256=sha256,
        libraries=(),
        created_at=f"2026-01-02T03:{minute:02d}:00.000Z",
        verdict=Verdict(
            outcome=Outcome.REVIEW,
            probability=0.7,
            matches=matches,
            model_id="m",
            policy_version="1",
            index_version=1,
        ),
    )


def decide(ledger: Ledger, check_id: str, reference_id: str, decision: Decision) -> None:
    ledger.reviews.record(check_id, reference_id, decision=decision, reviewer="anna", note="")


def states(ledger: Ledger, check_id: str) -> dict[str, str]:
    items = ledger.reviews.queue(state=None, check_id=check_id).items
    return {item.reference_id: item.state.value for item in items}


def test_matches_that_are_probable_enough_wait_newest_check_first(ledger: Ledger) -> None:
    ledger.record_check(check("old", match("a", 0.9), match("b", 0.2)))
    ledger.record_check(check("new", match("a", 0.6), minute=1))
    items = ledger.reviews.queue(least_probability=0.5).items
    assert [(item.check_id, item.reference_id) for item in items] == [("new", "a"), ("old", "a")]
    assert items[0] == ReviewItem(
        check_id="new",
        reference_id="a",
        library="main",
        probability=0.6,
        similarity=0.8,
        query_name="new.mp4",
        state=ReviewState.OPEN,
        reviewer="",
        created_at="2026-01-02T03:01:00.000Z",
    )


def test_a_decision_takes_a_match_from_the_queue_and_reopening_brings_it_back(
    ledger: Ledger,
) -> None:
    ledger.record_check(check("c", match("a", 0.9)))
    decide(ledger, "c", "a", Decision.CONFIRMED)
    assert ledger.reviews.queue().items == ()
    assert states(ledger, "c") == {"a": "confirmed"}
    decide(ledger, "c", "a", Decision.REOPENED)
    assert states(ledger, "c") == {"a": "open"}
    assert ledger.reviews.counts()[ReviewState.OPEN] == 1


def test_the_queue_is_searched_and_filtered(ledger: Ledger) -> None:
    sure = dataclasses.replace(match("film", 0.99), outcome=Outcome.DUPLICATE)
    doubtful = dataclasses.replace(match("clip", 0.6), library="clips", outcome=Outcome.REVIEW)
    ledger.record_check(check("Summer", sure, doubtful))

    def found(**wanted: Any) -> list[str]:
        return [one.reference_id for one in ledger.reviews.queue(by_policy=True, **wanted).items]

    assert sorted(found()) == ["clip", "film"]
    assert found(outcome=Outcome.REVIEW) == ["clip"]
    assert found(library="main") == ["film"]
    assert sorted(found(text="summer.MP4")) == ["clip", "film"]
    assert found(text="fil") == ["film"]
    assert found(text="winter") == []


def test_a_comment_decides_nothing(ledger: Ledger) -> None:
    ledger.record_check(check("c", match("a", 0.9)))
    decide(ledger, "c", "a", Decision.LICENSED)
    decide(ledger, "c", "a", Decision.COMMENT)
    assert states(ledger, "c") == {"a": "licensed"}
    assert [entry.decision for entry in ledger.reviews.list(check_id="c").items] == [
        Decision.COMMENT,
        Decision.LICENSED,
    ]


def test_not_a_match_holds_for_every_check_of_the_same_bytes(ledger: Ledger) -> None:
    ledger.record_check(check("first", match("a", 0.9), match("b", 0.9)))
    ledger.record_check(check("again", match("a", 0.9), minute=1))
    ledger.record_check(check("other", match("a", 0.9), minute=2, sha256="cd" * 32))
    decide(ledger, "first", "a", Decision.REJECTED)
    assert ledger.reviews.rejected_references(BYTES) == {"a"}
    assert ledger.reviews.rejected_references("cd" * 32) == frozenset()
    assert states(ledger, "first") == {"a": "rejected", "b": "open"}
    assert states(ledger, "again") == {"a": "rejected"}
    assert states(ledger, "other") == {"a": "open"}
    decide(ledger, "again", "a", Decision.REOPENED)
    assert ledger.reviews.rejected_references(BYTES) == frozenset()


def test_a_license_is_that_of_one_check_alone(ledger: Ledger) -> None:
    ledger.record_check(check("first", match("a", 0.9)))
    ledger.record_check(check("again", match("a", 0.9), minute=1))
    decide(ledger, "first", "a", Decision.LICENSED)
    assert states(ledger, "again") == {"a": "open"}
    assert ledger.reviews.rejected_references(BYTES) == frozenset()


def test_pages_of_the_queue_and_of_the_history_are_complete(ledger: Ledger) -> None:
    names = [f"r{number}" for number in range(5)]
    ledger.record_check(check("c", *(match(name, 0.9) for name in names)))
    for name in names:
        decide(ledger, "c", name, Decision.COMMENT)
    seen, cursor = [], ""
    while True:
        page = ledger.reviews.queue(limit=2, cursor=cursor)
        seen += [item.reference_id for item in page.items]
        cursor = page.next_cursor
        if not cursor:
            break
    assert sorted(seen) == names
    first = ledger.reviews.list(limit=3)
    rest = ledger.reviews.list(limit=3, cursor=first.next_cursor)
    assert len({entry.id for entry in (*first.items, *rest.items)}) == len(names)
    assert rest.next_cursor == ""
    with pytest.raises(InvalidRequest):
        ledger.reviews.queue(cursor="nonsense")


def test_only_what_a_check_found_can_be_reviewed(ledger: Ledger) -> None:
    ledger.record_check(check("c", match("a", 0.9)))
    with pytest.raises(NotFound):
        decide(ledger, "c", "b", Decision.CONFIRMED)
    with pytest.raises(NotFound):
        decide(ledger, "d", "a", Decision.CONFIRMED)


def test_matches_of_verdicts_from_before_the_queue_enter_it(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.duckdb")
    ledger.record_check(check("old", match("a", 0.9), match("b", 0.2)))
    ledger.record_check(dataclasses.replace(check("empty"), created_at="2026"))
    with ledger.reviews._database.transaction("go back in time") as connection:
        connection.execute("DROP TABLE matches")
        connection.execute("UPDATE schema_version SET version = 2")
    ledger.close()
    ledger = Ledger(tmp_path / "ledger.duckdb")
    assert states(ledger, "old") == {"a": "open", "b": "open"}
    ledger.close()


def test_what_rights_cover_waits_for_nobody(ledger: Ledger) -> None:
    covered = dataclasses.replace(match("b", 0.99), rights=Ruling(licensed=True, counts=False))
    ledger.record_check(check("c", match("a", 0.7), covered))
    assert states(ledger, "c") == {"a": "open", "b": "licensed"}
    decide(ledger, "c", "b", Decision.CONFIRMED)
    assert states(ledger, "c")["b"] == "confirmed"
    assert ledger.get_check("c").verdict.matches[1] == covered


def test_what_was_decided_about_a_deleted_reference_does_not_hold_for_its_id(
    ledger: Ledger,
) -> None:
    before = check("before", match("a", 0.9), match("b", 0.9))
    ledger.record_check(before)
    for reference_id in ("a", "b"):
        decide(ledger, "before", reference_id, Decision.REJECTED)
    ledger.forget_reference("a")
    assert ledger.reviews.rejected_references(BYTES) == {"b"}
    with pytest.raises(EvidenceNotKept):
        ledger.require_current(before, "a")
    ledger.require_current(before, "b")
    decide(ledger, "before", "a", Decision.REJECTED)
    assert ledger.reviews.rejected_references(BYTES) == {"b"}, "it is about the former video"
    after = dataclasses.replace(check("after", match("a", 0.9)), created_at=utc_now(plus_s=1))
    ledger.record_check(after)
    ledger.require_current(after, "a")
    decide(ledger, "after", "a", Decision.REJECTED)
    assert ledger.reviews.rejected_references(BYTES) == {"a", "b"}
