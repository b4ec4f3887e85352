"""Claims about who may work on a job, and that it ends once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from dubl.errors import (
    InvalidRequest,
    JobNotFound,
    LeaseLost,
    Overloaded,
    RateLimited,
    StateConflict,
)
from dubl.ledger.api_keys import make_key
from dubl.ledger.ledger import Ledger
from dubl.types import Job, JobKind, JobRank, JobState, Lease, Progress, Scope

LONG_S = 600.0
OVER_S = -1.0  # a lease that has ended when it begins: its holder was killed


def job(job_id: str, *, second: int = 0, **changes: object) -> Job:
    made = Job(
        id=job_id,
        kind=JobKind.CHECK,
        state=JobState.QUEUED,
        subject_id=f"subject of {job_id}",
        request={"link": "https://пример/'видео'.mp4"},
        created_at=f"2026-01-01T00:00:{second:02d}.000Z",
    )
    return replace(made, **changes)


@pytest.fixture
def ledger(place: str) -> Iterator[Ledger]:
    opened = Ledger(place)
    yield opened
    opened.close()


def claimed(ledger: Ledger, *, limit: int = 9, lease_s: float = LONG_S) -> list[str]:
    return [found.id for found in ledger.jobs.claim(limit=limit, lease_s=lease_s)]


def test_a_job_goes_its_way(ledger: Ledger) -> None:
    ledger.jobs.create(job("j"), tries=5)
    assert ledger.jobs.get("j") == job("j")
    (running,) = ledger.jobs.claim(limit=9, lease_s=LONG_S)
    assert (running.state, running.attempts) == (JobState.RUNNING, 1)
    ledger.jobs.finish(running.lease, result_id="reference", created=True)
    done = ledger.jobs.get("j")
    assert (done.state, done.result_id, done.created) == (JobState.DONE, "reference", True)
    assert done.finished_at > done.created_at


def test_a_failed_job_says_why(ledger: Ledger) -> None:
    running = ledger.jobs.create(job("j"), tries=5, lease_s=LONG_S)
    ledger.jobs.fail(running.lease, code="empty_file", detail="it's «пусто»")
    failed = ledger.jobs.get("j")
    assert (failed.state, failed.error_code) == (JobState.FAILED, "empty_file")
    assert (failed.error_detail, failed.dead) == ("it's «пусто»", False)


def test_a_job_created_again_keeps_its_state(ledger: Ledger) -> None:
    ledger.jobs.create(job("j"), tries=5, lease_s=LONG_S)
    ledger.jobs.create(job("j"), tries=5)
    assert ledger.jobs.get("j").state is JobState.RUNNING


def test_each_job_is_handed_to_one_of_many_who_ask(ledger: Ledger) -> None:
    for number in range(30):
        ledger.jobs.create(job(f"{number}"), tries=5)
    with ThreadPoolExecutor(8) as pool:
        shares = list(pool.map(lambda _: claimed(ledger, limit=3), range(16)))
    assert sorted(found for share in shares for found in share) == sorted(map(str, range(30)))


def test_a_held_job_is_not_handed_out_and_one_of_a_killed_holder_is(ledger: Ledger) -> None:
    ledger.jobs.create(job("held"), tries=5, lease_s=LONG_S)
    ledger.jobs.create(job("lost"), tries=5, lease_s=OVER_S)
    assert ledger.jobs.claim_one("held", lease_s=LONG_S) is None
    (found,) = ledger.jobs.claim(limit=9, lease_s=LONG_S)
    assert (found.id, found.attempts) == ("lost", 2)


def test_whoever_lost_a_job_cannot_end_it(ledger: Ledger) -> None:
    first = ledger.jobs.create(job("j"), tries=5, lease_s=OVER_S)
    (second,) = ledger.jobs.claim(limit=1, lease_s=LONG_S)
    for attempt in (
        lambda: ledger.jobs.finish(first.lease, result_id="first", created=True),
        lambda: ledger.jobs.fail(first.lease, code="x", detail=""),
        lambda: ledger.jobs.retry(first.lease, code="x", detail="", delay_s=0),
        lambda: ledger.jobs.expand(first.lease, [job("child")], tries=1),
    ):
        with pytest.raises(LeaseLost):
            attempt()
    ledger.jobs.finish(second.lease, result_id="second", created=True)
    assert ledger.jobs.get("j").result_id == "second"


def test_an_end_told_twice_is_one_end(ledger: Ledger) -> None:
    running = ledger.jobs.create(job("j", callbacks=("https://a",)), tries=5, lease_s=LONG_S)
    for _ in range(2):
        ledger.jobs.finish(running.lease, result_id="r", created=True)
    assert len(ledger.outbox.list(job_id="j").items) == 1


def test_a_renewed_lease_lasts_and_a_lost_one_is_told(ledger: Ledger) -> None:
    kept = ledger.jobs.create(job("kept"), tries=5, lease_s=OVER_S)
    gone = ledger.jobs.create(job("gone"), tries=5, lease_s=LONG_S)
    ledger.jobs.cancel("gone")
    reached = Progress(stage="decode", share=0.25)
    lost = ledger.jobs.renew({kept.lease: reached, gone.lease: reached}, lease_s=LONG_S)
    assert lost == {"gone"}
    assert claimed(ledger) == []
    assert ledger.jobs.get("kept").progress == reached
    ledger.jobs.finish(kept.lease, result_id="r", created=True)
    assert ledger.jobs.get("kept").progress == Progress()
    # A report that was under way when the job ended is late.
    ledger.jobs.report({kept.lease: reached})
    assert ledger.jobs.get("kept").progress == Progress()


def test_a_job_tried_again_waits_and_dies_after_its_last_try(ledger: Ledger) -> None:
    first = ledger.jobs.create(job("j"), tries=2, lease_s=LONG_S)
    waiting = ledger.jobs.retry(first.lease, code="overloaded", detail="busy", delay_s=LONG_S)
    assert (waiting.state, waiting.error_code) == (JobState.QUEUED, "overloaded")
    assert claimed(ledger) == []
    ledger.jobs.create(job("k"), tries=1, lease_s=LONG_S)
    dead = ledger.jobs.retry(Lease(job_id="k", attempt=1), code="overloaded", detail="", delay_s=0)
    assert (dead.state, dead.dead, dead.error_code) == (JobState.FAILED, True, "overloaded")
    assert [found.id for found in ledger.jobs.list(dead=True).items] == ["k"]


def test_an_attempt_that_failed_by_no_fault_of_a_new_job_is_no_try(ledger: Ledger) -> None:
    for name in ("old", "new"):
        accepted = replace(job(name), created_at="2026-01-01" if name == "old" else "2026-01-03")
        lease = ledger.jobs.create(accepted, tries=1, lease_s=LONG_S).lease
        for _ in range(3):
            after = ledger.jobs.retry(
                lease, code="store_unavailable", detail="", delay_s=0, free_since="2026-01-02"
            )
            if after.state.ended:
                break
            lease = ledger.jobs.claim(limit=1, lease_s=LONG_S)[0].lease
        assert after.dead == (name == "old")
    assert ledger.jobs.get("new").attempts == 4
    dead = ledger.jobs.retry(lease, code="overloaded", detail="", delay_s=0)
    assert (dead.state, dead.dead) == (JobState.FAILED, True)


def test_a_job_whose_holders_are_all_killed_dies_with_a_reason(ledger: Ledger) -> None:
    ledger.jobs.create(job("poison"), tries=2, lease_s=OVER_S)
    ledger.jobs.create(job("good", second=1), tries=2)
    assert claimed(ledger, limit=1, lease_s=OVER_S) == ["poison"]
    assert claimed(ledger) == ["good"]
    dead = ledger.jobs.get("poison")
    assert (dead.state, dead.dead, dead.error_code) == (
        JobState.FAILED,
        True,
        "service_interrupted",
    )


def test_a_dead_job_can_be_queued_again_and_no_other(ledger: Ledger) -> None:
    running = ledger.jobs.create(job("j"), tries=1, lease_s=LONG_S)
    with pytest.raises(StateConflict):
        ledger.jobs.requeue("j", tries=1)
    ledger.jobs.retry(running.lease, code="x", detail="", delay_s=0)
    assert ledger.jobs.requeue("j", tries=1).state is JobState.QUEUED
    (again,) = ledger.jobs.claim(limit=9, lease_s=LONG_S)
    assert (again.attempts, again.dead, again.error_code) == (2, False, "")
    with pytest.raises(JobNotFound):
        ledger.jobs.requeue("absent", tries=1)


def test_uploads_of_unfinished_and_dead_jobs_move_with_the_spool(ledger: Ledger) -> None:
    for name, tries in (("waits", 5), ("dead", 1), ("done", 5)):
        request = {"video": {"upload": {"path": f"/старое/{name}"}}}
        ledger.jobs.create(job(name, request=request), tries=tries, lease_s=LONG_S)
    ledger.jobs.retry(Lease(job_id="dead", attempt=1), code="x", detail="", delay_s=0)
    ledger.jobs.finish(Lease(job_id="done", attempt=1), result_id="r", created=True)
    ledger.move_uploads("/старое", "/new folder")
    paths = [ledger.jobs.get(name).request["video"] for name in ("waits", "dead", "done")]
    assert paths == [
        {"upload": {"path": path}}
        for path in ("/new folder/waits", "/new folder/dead", "/старое/done")
    ]


def test_a_cancelled_job_ends_at_once_and_only_once(ledger: Ledger) -> None:
    running = ledger.jobs.create(job("j"), tries=5, lease_s=LONG_S)
    assert [found.state for found in ledger.jobs.cancel("j")] == [JobState.CANCELLED]
    with pytest.raises(LeaseLost):
        ledger.jobs.finish(running.lease, result_id="r", created=True)
    with pytest.raises(StateConflict, match="cancelled already"):
        ledger.jobs.cancel("j")
    with pytest.raises(JobNotFound):
        ledger.jobs.cancel("absent")


def test_no_more_jobs_are_taken_than_there_is_room_for(ledger: Ledger) -> None:
    ledger.jobs.create(job("a"), tries=5, max_unfinished=2)
    ledger.jobs.create(job("child", rank=JobRank.CHILD), tries=5, max_unfinished=2)
    running = ledger.jobs.create(job("b"), tries=5, max_unfinished=2, lease_s=LONG_S)
    with pytest.raises(Overloaded):
        ledger.jobs.create(job("c"), tries=5, max_unfinished=2)
    ledger.jobs.finish(running.lease, result_id="", created=True)
    ledger.jobs.create(job("c"), tries=5, max_unfinished=2)


def test_what_somebody_waits_for_goes_first_but_nothing_waits_for_ever(ledger: Ledger) -> None:
    for number in range(4):
        ledger.jobs.create(job(f"child{number}", second=1, rank=JobRank.CHILD), tries=5)
    for number in range(4):
        waited = job(f"waited{number}", second=2 + number, rank=JobRank.WAITED_FOR)
        ledger.jobs.create(waited, tries=5)
    assert claimed(ledger, limit=5) == ["waited0", "waited1", "waited2", "child0", "waited3"]


def batch(ledger: Ledger, *names: str, **changes: object) -> list[Job]:
    """A batch that has become these children; all are handed out, with ordinary leases."""
    made = job("batch", kind=JobKind.BATCH, **changes)
    parent = ledger.jobs.create(made, tries=5, lease_s=LONG_S)
    children = [job(name, parent_id="batch", rank=JobRank.CHILD) for name in names]
    ledger.jobs.expand(parent.lease, children, tries=5)
    return list(ledger.jobs.claim(limit=99, lease_s=LONG_S))


def test_a_batch_ends_with_its_last_child_whatever_becomes_of_it(ledger: Ledger) -> None:
    first, second = batch(ledger, "a", "b", callbacks=("https://told",))
    ledger.jobs.fail(first.lease, code="empty_file", detail="")
    assert ledger.jobs.get("batch").state is JobState.RUNNING
    ledger.jobs.finish(second.lease, result_id="b", created=True)
    assert ledger.jobs.get("batch").state is JobState.DONE
    counts = ledger.jobs.count_children("batch")
    assert (counts[JobState.DONE], counts[JobState.FAILED]) == (1, 1)
    assert [told.job_id for told in ledger.outbox.list().items] == ["batch"]


def test_a_batch_expanded_again_has_its_children_once(ledger: Ledger) -> None:
    batch(ledger, "a")
    ledger.jobs.expand(Lease(job_id="batch", attempt=1), [job("a", parent_id="batch")], tries=5)
    assert len(ledger.jobs.list(parent_id="batch").items) == 1


def test_a_batch_that_waits_for_its_children_stays_so_when_its_lease_is_renewed(
    ledger: Ledger,
) -> None:
    children = batch(ledger, "a", "b")
    held = {ledger.jobs.get("batch").lease: Progress(stage="unpack", share=0.1)}
    assert ledger.jobs.renew(held, lease_s=OVER_S) == frozenset(), "it is not lost either"
    ledger.jobs.report(held)
    assert claimed(ledger) == []
    assert ledger.jobs.get("batch").progress == Progress()
    for child in children:
        ledger.jobs.finish(child.lease, result_id="r", created=True)
    assert ledger.jobs.get("batch").state is JobState.DONE


def test_a_batch_without_children_is_done(ledger: Ledger) -> None:
    assert batch(ledger) == []
    assert ledger.jobs.get("batch").state is JobState.DONE


def test_a_cancelled_batch_takes_its_children_along_but_not_those_that_ended(
    ledger: Ledger,
) -> None:
    first, _ = batch(ledger, "a", "b")
    ledger.jobs.finish(first.lease, result_id="a", created=True)
    assert {found.id for found in ledger.jobs.cancel("batch")} == {"batch", "b"}
    assert ledger.jobs.get("a").state is JobState.DONE


def test_inputs_of_unfinished_and_lately_dead_jobs_are_kept(ledger: Ledger) -> None:
    ledger.jobs.create(job("queued"), tries=5)
    for name, tries in (("done", 5), ("dead", 1)):
        running = ledger.jobs.create(job(name), tries=tries, lease_s=LONG_S)
        if name == "done":
            ledger.jobs.finish(running.lease, result_id="", created=True)
        else:
            ledger.jobs.retry(running.lease, code="x", detail="", delay_s=0)
    kept = {found.id for found in ledger.jobs.with_input(dead_since="2026-01-01T00:00:00.000Z")}
    assert kept == {"queued", "dead"}
    assert {found.id for found in ledger.jobs.with_input(dead_since="9999")} == {"queued"}


def test_listings_filter_and_the_latest_job_of_a_subject_is_found(ledger: Ledger) -> None:
    ledger.jobs.create(job("old", subject_id="s"), tries=5)
    ledger.jobs.create(job("new", subject_id="s", second=1), tries=5, lease_s=LONG_S)
    latest = ledger.jobs.find("s", kind=JobKind.CHECK)
    assert latest is not None
    assert latest.id == "new"
    assert ledger.jobs.find("s", kind=JobKind.REFERENCE) is None
    assert [found.id for found in ledger.jobs.list().items] == ["new", "old"]
    assert [found.id for found in ledger.jobs.list(state=JobState.QUEUED).items] == ["old"]
    assert ledger.backlog().running == 1
    with pytest.raises(JobNotFound):
        ledger.jobs.get("absent")
    assert ledger.jobs.find("absent", kind=JobKind.CHECK) is None
    with pytest.raises(InvalidRequest, match="cursor"):
        ledger.jobs.list(cursor="zzz")


def test_one_key_cannot_fill_the_queue(ledger: Ledger) -> None:
    def accepted(key_id: str) -> int:
        for number in range(9):
            made = job(f"{key_id}{number}", key_id=key_id)
            try:
                ledger.jobs.create(made, tries=1, max_unfinished=8, key_share=0.5)
            except RateLimited:
                return number
        return 9

    assert [accepted(name) for name in "abc"] == [4, 2, 1]
    ledger.jobs.create(job("free"), tries=1, max_unfinished=8, key_share=0.5)
    with pytest.raises(Overloaded):
        ledger.jobs.create(job("over", key_id="d"), tries=1, max_unfinished=8, key_share=0.5)


def test_one_key_does_not_get_all_places_of_a_worker(ledger: Ledger) -> None:
    for number in range(8):
        ledger.jobs.create(job(f"a{number}", key_id="a", rank=JobRank.WAITED_FOR), tries=1)
    ledger.jobs.create(job("b", second=9, key_id="b", rank=JobRank.CHILD), tries=1)
    first = ledger.jobs.claim(limit=4, lease_s=LONG_S, key_share=0.5)
    assert [found.id for found in first] == ["a0", "a1", "b"], "and a place for the next key"
    more = ledger.jobs.claim(limit=3, lease_s=LONG_S, at_work={"a": 1, "b": 1}, key_share=0.5)
    assert [found.id for found in more] == ["a2"]
    assert len(ledger.jobs.claim(limit=9, lease_s=LONG_S)) == 5


@pytest.fixture
def key_id(ledger: Ledger) -> str:
    """Of a key with four jobs a day."""
    new = make_key("few", scopes=[Scope.CHECK], jobs_per_day=4)
    ledger.keys.add(new.key)
    return new.key.id


def test_links_of_a_batch_count_against_the_day_together_or_not_at_all(
    ledger: Ledger, key_id: str
) -> None:
    def accept(name: str, videos: int, **limits: int) -> None:
        made = job(name, kind=JobKind.BATCH, key_id=key_id)
        ledger.jobs.create(made, tries=1, further_jobs=videos, **limits)

    with pytest.raises(RateLimited, match="1 videos more") as refused:
        accept("too many", 5)
    assert 0 < refused.value.context["retry_after_s"] <= 86_400
    assert ledger.jobs.list().items == ()
    accept("fits", 4, jobs_per_day=1)
    with pytest.raises(RateLimited):
        accept("one more", 1)


def test_entries_of_a_zip_that_are_more_than_the_day_allows_fail(
    ledger: Ledger, key_id: str
) -> None:
    made = job("batch", kind=JobKind.BATCH, key_id=key_id)
    parent = ledger.jobs.create(made, tries=1, lease_s=LONG_S)
    children = [job(f"{number}", parent_id="batch", key_id=key_id) for number in range(7)]
    refused = ledger.jobs.expand(parent.lease, children, tries=1, further_jobs=6)
    assert [found.id for found in refused] == ["5", "6"]
    # Its answer was lost.
    assert ledger.jobs.expand(parent.lease, children, tries=1, further_jobs=6) == ()
    over = ledger.jobs.list(state=JobState.FAILED).items
    assert [found.id for found in over] == ["6", "5"]
    assert {found.error_code for found in over} == {"rate_limited"}
    counts = ledger.jobs.count_children("batch")
    assert (counts[JobState.QUEUED], counts[JobState.FAILED]) == (5, 2)
