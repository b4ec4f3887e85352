"""Never too few matches are counted, and seldom is a look needed."""

from __future__ import annotations

from dubl.ledger.recent_matches import RecentMatches

NEVER = "9999"


def test_what_matched_often_enough_may_be_flooded() -> None:
    recent = RecentMatches()
    recent.note(["a", "a", "b"], at="10:00")
    assert recent.may_be_flooded("a", least=2, now="10:01")
    assert not recent.may_be_flooded("b", least=2, now="10:01")
    assert not recent.may_be_flooded("never seen", least=1, now="10:01")


def test_what_lies_before_the_window_counts_no_longer() -> None:
    recent = RecentMatches()
    recent.note(["a"], at="10:00")
    recent.note(["a"], at="10:30")
    recent.forget(before="10:15")
    assert recent.may_be_flooded("a", least=1, now="10:31")
    assert not recent.may_be_flooded("a", least=2, now="10:31")


def test_after_a_look_the_next_one_waits_for_more() -> None:
    recent = RecentMatches()
    recent.note(["a"] * 100, at="10:00")
    recent.looked_at("a", least=0, until=NEVER)
    assert not recent.may_be_flooded("a", least=10, now="10:00")
    recent.note(["a"] * 5, at="10:01")
    assert recent.may_be_flooded("a", least=10, now="10:01")


def test_after_a_look_as_many_are_needed_as_it_said() -> None:
    recent = RecentMatches()
    recent.note(["a"] * 100, at="10:00")
    recent.looked_at("a", least=300, until="11:00")
    recent.note(["a"] * 150, at="10:01")
    assert not recent.may_be_flooded("a", least=10, now="10:59")
    assert recent.may_be_flooded("a", least=10, now="11:00")
