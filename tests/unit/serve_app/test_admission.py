"""Claims about what is taken in."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from dubl.errors import Overloaded, RateLimited
from dubl.settings import ServeSettings
from serve_app.api.admission import Admission


def test_only_so_many_requests_wait_at_once_and_others_are_still_queued() -> None:
    admission = Admission(ServeSettings(max_waiting=2))
    with ExitStack() as waiting:
        for _ in range(2):
            waiting.enter_context(admission.room("", waits=True))
        with pytest.raises(Overloaded, match="wait"), admission.room("", waits=True):
            pass
        with admission.room("", waits=False):
            pass
    with admission.room("", waits=True):
        pass


def test_a_full_ledger_is_believed_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("serve_app.api.admission.time.monotonic", lambda: now[0])
    admission = Admission(ServeSettings())
    with pytest.raises(Overloaded), admission.room("", waits=False):
        raise Overloaded("a step is busy, the ledger is not full")
    with admission.room("", waits=False):
        pass
    with pytest.raises(Overloaded), admission.accepting():
        raise Overloaded("the ledger is full")
    with pytest.raises(Overloaded, match="full"), admission.room("", waits=False):
        pass
    now[0] += 2
    with admission.room("", waits=False):
        pass


def test_a_place_is_left_for_the_next_key() -> None:
    admission = Admission(ServeSettings(max_waiting=8, key_share=0.5))
    with ExitStack() as waiting:

        def held_by(key_id: str) -> int:
            count = 0
            while True:
                try:
                    waiting.enter_context(admission.room(key_id, waits=True))
                except RateLimited:
                    return count
                count += 1

        assert [held_by(name) for name in "abc"] == [4, 2, 1]
        with pytest.raises(Overloaded, match="8 requests"):
            held_by("d")
    assert held_by("d") == 4


def test_what_has_no_key_may_have_all_places_and_so_may_a_key_where_shares_are_off() -> None:
    for key_id, share in (("", 0.5), ("a", 1.0)):
        admission = Admission(ServeSettings(max_waiting=8, key_share=share))
        with ExitStack() as waiting:
            for _ in range(8):
                waiting.enter_context(admission.room(key_id, waits=True))
            with pytest.raises(Overloaded):
                admission.require("b", waits=True)
