"""Decisions of people on matches: what waits, what holds, what is remembered."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dubl.errors import EvidenceNotKept, InvalidRequest, NotFound, StateConflict
from dubl.ledger.clock import utc_now
from dubl.ledger.ledger import Ledger
from dubl.rights.terms import CheckContext, Ruling
from dubl.types import (
    Check,
    Decision,
    Facet,
    Judgement,
    Match,
    Modality,
    Outcome,
    QueueFilter,
    QueueSort,
    ReviewItem,
    ReviewState,
    Verdict,
)

BYTES = "ab" * 32
WAITING = QueueFilter()


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
    items = ledger.reviews.queue(QueueFilter(state=None, check_id=check_id)).items
    return {item.reference_id: item.state.value for item in items}


def test_matches_that_are_probable_enough_wait_newest_check_first(ledger: Ledger) -> None:
    ledger.record_check(check("old", match("a", 0.9), match("b", 0.2)))
    ledger.record_check(check("new", match("a", 0.6), minute=1))
    items = ledger.reviews.queue(QueueFilter(min_probability=0.5)).items
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
    assert ledger.reviews.queue(WAITING).items == ()
    assert states(ledger, "c") == {"a": "confirmed"}
    decide(ledger, "c", "a", Decision.REOPENED)
    assert states(ledger, "c") == {"a": "open"}
    assert ledger.reviews.counts(WAITING).states[ReviewState.OPEN] == 1


def test_the_queue_is_searched_and_filtered(ledger: Ledger) -> None:
    sure = dataclasses.replace(match("film", 0.99), outcome=Outcome.DUPLICATE)
    doubtful = dataclasses.replace(match("clip", 0.6), library="clips", outcome=Outcome.REVIEW)
    ledger.record_check(check("Summer", sure, doubtful))

    def found(**wanted: Any) -> list[str]:
        return [
            one.reference_id
            for one in ledger.reviews.queue(QueueFilter(by_policy=True, **wanted)).items
        ]

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
        page = ledger.reviews.queue(WAITING, limit=2, cursor=cursor)
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
        ledger.reviews.queue(WAITING, cursor="nonsense")


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


def test_the_queue_is_sorted_and_each_order_has_complete_pages(ledger: Ledger) -> None:
    for minute, (probability, seconds) in enumerate([(0.95, 3.0), (0.52, 9.0), (0.7, 6.0)]):
        found = dataclasses.replace(match("film", probability), rights=Ruling(copied_s=seconds))
        ledger.record_check(check(f"c{minute}", found, minute=minute, sha256=f"{minute:064x}"))
    orders = {
        QueueSort.NEWEST: ["c2", "c1", "c0"],
        QueueSort.OLDEST: ["c0", "c1", "c2"],
        QueueSort.DOUBTFUL: ["c1", "c2", "c0"],
        QueueSort.SECONDS: ["c1", "c2", "c0"],
        QueueSort.PROBABILITY: ["c0", "c2", "c1"],
        QueueSort.REFERENCE: ["c0", "c1", "c2"],
        QueueSort.UPLOAD: ["c0", "c1", "c2"],
    }
    for sort, wanted in orders.items():
        seen, cursor = [], ""
        while len(seen) < len(wanted):
            page = ledger.reviews.queue(WAITING, sort=sort, limit=1, cursor=cursor)
            seen += [item.check_id for item in page.items]
            cursor = page.next_cursor
        assert (seen, cursor) == (wanted, ""), sort
    page = ledger.reviews.queue(WAITING, sort=QueueSort.NEWEST, limit=1)
    with pytest.raises(InvalidRequest, match="another order"):
        ledger.reviews.queue(WAITING, sort=QueueSort.SECONDS, cursor=page.next_cursor)


def test_the_queue_is_narrowed_by_each_filter_and_counted_by_all(ledger: Ledger) -> None:
    heard = dataclasses.replace(match("song", 0.7), library="songs", modality=Modality.AUDIO)
    first = check("Кот", match("film", 0.9), heard)
    channel = dataclasses.replace(first.verdict, context=CheckContext(channel="anna"))
    ledger.record_check(dataclasses.replace(first, verdict=channel))
    ledger.record_check(check("dog", match("film", 0.6), minute=9, sha256="cd" * 32))
    decide(ledger, "dog", "film", Decision.CONFIRMED)

    def found(**wanted: Any) -> list[str]:
        items = ledger.reviews.queue(QueueFilter(**{"state": None} | wanted)).items
        return sorted(f"{item.check_id} {item.reference_id}" for item in items)

    assert found(channel="anna") == ["Кот film", "Кот song"]
    assert found(modality=Modality.AUDIO) == found(library="songs") == ["Кот song"]
    assert found(max_probability=0.65) == found(reviewer="anna") == ["dog film"]
    assert found(text="КОТ.mp4", references=("film",)) == ["Кот film"]
    assert found(text="no such", titled=("song",)) == ["Кот song"]
    assert found(references=()) == []
    assert found(since="2026-01-02T03:05") == ["dog film"]
    assert found(until="2026-01-02T03:00Z") == ["Кот film", "Кот song"]
    assert found(until="2026-01-01") == []

    counts = ledger.reviews.counts(QueueFilter(library="main"), facets=True)
    assert counts.states == dict.fromkeys(ReviewState, 0) | {
        ReviewState.OPEN: 1,
        ReviewState.CONFIRMED: 1,
    }
    assert counts.facets[Facet.REFERENCE] == {"film": 1}
    assert counts.facets[Facet.CHANNEL] == {"anna": 1}


def test_many_are_decided_at_once_but_for_what_another_has_decided(ledger: Ledger) -> None:
    for minute, name in enumerate(("a", "b", "c")):
        ledger.record_check(check(name, match("film", 0.9), minute=minute, sha256=f"{minute:064x}"))
    ledger.record_check(check("again", match("film", 0.9), minute=5, sha256=f"{0:064x}"))
    decide(ledger, "b", "film", Decision.LICENSED)
    wanted = [
        Judgement(
            check_id=name,
            reference_id="film",
            decision=Decision.REJECTED,
            if_state=ReviewState.OPEN,
        )
        for name in ("a", "b", "c")
    ]
    tried = ledger.reviews.record_all(wanted, reviewer="boris", note="", dry_run=True)
    assert [one.check_id for one in tried.entries] == ["a", "c"]
    assert states(ledger, "a") == {"film": "open"}
    done = ledger.reviews.record_all(wanted, reviewer="boris", note="")
    assert [one.check_id for one in done.entries] == ["a", "c"]
    assert done.before == (ReviewState.OPEN, ReviewState.OPEN)
    (conflict,) = done.conflicts
    assert (conflict.check_id, conflict.state, conflict.reviewer) == ("b", "licensed", "anna")
    found = {name: states(ledger, name)["film"] for name in ("a", "b", "c", "again")}
    assert found == {"a": "rejected", "b": "licensed", "c": "rejected", "again": "rejected"}
    undone = [dataclasses.replace(one, decision=Decision.REOPENED, if_state=None) for one in wanted]
    ledger.reviews.record_all([undone[0], undone[2]], reviewer="boris", note="")
    assert ledger.reviews.counts(WAITING).states[ReviewState.OPEN] == 3
    nothing = dataclasses.replace(wanted[0], reference_id="none")
    with pytest.raises(NotFound):
        ledger.reviews.record_all([undone[1], nothing], reviewer="", note="")
    assert states(ledger, "b") == {"film": "licensed"}


def test_matches_of_a_deleted_reference_wait_for_nobody(ledger: Ledger) -> None:
    ledger.record_check(check("c", match("a", 0.9), match("b", 0.9)))
    ledger.forget_reference("a")
    assert states(ledger, "c") == {"a": "closed", "b": "open"}
    assert [item.reference_id for item in ledger.reviews.queue(WAITING).items] == ["b"]
    after = dataclasses.replace(check("after", match("a", 0.9)), created_at=utc_now(plus_s=1))
    ledger.record_check(after)
    assert states(ledger, "after") == {"a": "open"}, "its id is that of another video"


def test_a_new_check_of_rejected_bytes_does_not_wait(ledger: Ledger) -> None:
    ledger.record_check(check("c", match("a", 0.9)))
    decide(ledger, "c", "a", Decision.REJECTED)
    ledger.record_check(check("again", match("a", 0.9), minute=1))
    assert states(ledger, "again") == {"a": "rejected"}


def test_an_older_ledger_gets_the_states_of_its_matches(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.duckdb")
    copied = dataclasses.replace(match("a", 0.9), rights=Ruling(copied_s=4.5))
    first = check("c", copied, match("b", 0.8))
    context = dataclasses.replace(first.verdict, context=CheckContext(channel="anna"))
    ledger.record_check(dataclasses.replace(first, verdict=context))
    decide(ledger, "c", "b", Decision.CONFIRMED)
    with ledger.reviews._database.transaction("go back in time") as connection:
        for column in ("copied_s", "modality", "state", "reviewer"):
            connection.execute(f"ALTER TABLE matches DROP COLUMN {column}")
        for column in ("channel", "searched"):
            connection.execute(f"ALTER TABLE checks DROP COLUMN {column}")
        connection.execute("DELETE FROM schema_version WHERE version > 9")
    ledger.close()
    ledger = Ledger(tmp_path / "ledger.duckdb")
    found = ledger.reviews.queue(QueueFilter(state=None, channel="anna", text="C.MP4"))
    told = [(one.reference_id, one.state, one.reviewer, one.copied_s) for one in found.items]
    assert sorted(told) == [("a", "open", "", 4.5), ("b", "confirmed", "anna", 0.0)]
    ledger.close()


def dispute(ledger: Ledger, check_id: str, *, until: str = "") -> None:
    ledger.reviews.record(
        check_id,
        "film",
        decision=Decision.DISPUTED,
        reviewer="the uploader",
        note="it is mine",
        until=until,
    )


def test_a_dispute_is_upheld_or_released_and_can_begin_again(ledger: Ledger) -> None:
    ledger.record_check(check("a", match("film", 0.99)))
    decide(ledger, "a", "film", Decision.CONFIRMED)
    for answer in (Decision.UPHELD, Decision.RELEASED):
        dispute(ledger, "a", until="2026-02-01T00:00:00.000Z")
        assert states(ledger, "a") == {"film": "disputed"}
        (item,) = ledger.reviews.queue(QueueFilter(state=ReviewState.DISPUTED)).items
        assert (item.until, item.reviewer) == ("2026-02-01T00:00:00.000Z", "the uploader")
        decide(ledger, "a", "film", answer)
        assert states(ledger, "a") == {"film": answer.value}
    (item,) = ledger.reviews.queue(QueueFilter(state=None)).items
    assert item.until == ""
    newest, *_ = ledger.reviews.list(check_id="a").items
    assert newest.until == ""


@pytest.mark.parametrize("earlier", [Decision.REJECTED, Decision.LICENSED, Decision.DISPUTED])
def test_only_a_claim_can_be_disputed(ledger: Ledger, earlier: Decision) -> None:
    ledger.record_check(check("a", match("film", 0.99)))
    decide(ledger, "a", "film", earlier)
    with pytest.raises(StateConflict, match=f"that is {earlier} cannot be disputed"):
        dispute(ledger, "a")
    assert states(ledger, "a") == {"film": earlier.value}


def test_only_a_dispute_can_be_upheld(ledger: Ledger) -> None:
    ledger.record_check(check("a", match("film", 0.99)))
    with pytest.raises(StateConflict, match="that is open cannot be upheld"):
        decide(ledger, "a", "film", Decision.UPHELD)


def test_a_dispute_that_nobody_answers_in_time_releases_the_match(ledger: Ledger) -> None:
    ends = {"past": "2026-01-02T00:00:00.000Z", "future": "9999-01-01T00:00:00.000Z", "none": ""}
    for number, (check_id, until) in enumerate(ends.items()):
        ledger.record_check(check(check_id, match("film", 0.99), sha256=f"{number}" * 64))
        dispute(ledger, check_id, until=until)
    assert ledger.reviews.release_unanswered() == 1
    assert ledger.reviews.release_unanswered() == 0
    found = {one: states(ledger, one)["film"] for one in ends}
    assert found == {"past": "released", "future": "disputed", "none": "disputed"}
    newest, *_ = ledger.reviews.list(check_id="past").items
    assert newest.note == "nobody answered the dispute by 2026-01-02T00:00:00.000Z"


def test_a_disputed_match_teaches_no_thresholds_until_it_is_answered(ledger: Ledger) -> None:
    ledger.record_check(check("a", match("film", 0.99)))
    dispute(ledger, "a")
    assert ledger.policies.decided_matches("main") == ()
    decide(ledger, "a", "film", Decision.UPHELD)
    (decided,) = ledger.policies.decided_matches("main")
    assert decided.copied
