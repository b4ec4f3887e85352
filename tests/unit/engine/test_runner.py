"""Claims about running jobs under leases; over a real ledger and work that does what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from dubl.contract.orders import Order
from dubl.engine import ledger, runner
from dubl.engine.handles import OnStage
from dubl.engine.ledger import LedgerClient
from dubl.engine.runner import JobRunner
from dubl.engine.work import NOTHING, Done, Work
from dubl.errors import DublError, EmptyFile, Overloaded, StoreUnavailable
from dubl.ledger.job_queue import JobQueue
from dubl.settings import ServeSettings
from dubl.types import Job, JobKind, JobState
from tests.support.local_ledger import LocalLedger

SETTINGS = ServeSettings(
    max_concurrent_jobs=2, lease_s=600, retry_delay_s=0.001, job_tries=3, job_timeout_s=600
)


class Tasks:
    """Work whose jobs meet the errors that a test names, one an attempt, and end then."""

    def __init__(self, ledger: LedgerClient) -> None:
        self.ledger = ledger
        self.errors: dict[str, list[Exception]] = {}
        self.begun: list[str] = []
        self.discarded: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}

    async def perform(self, job: Job, _: Order | None, on_stage: OnStage) -> Done:
        self.begun.append(job.id)
        on_stage("embed")
        if job.id in self.gates:
            await self.gates[job.id].wait()
        for error in self.errors.get(job.id, [])[:1]:
            self.errors[job.id].remove(error)
            raise error
        await self.ledger.ask(JobQueue.finish, job.lease, result_id=job.id, created=True)
        return NOTHING

    async def discard_upload(self, job: Job, _: Order | None) -> None:
        self.discarded.append(job.id)


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalLedger]:
    monkeypatch.setattr(runner, "POLL_S", 0.01)
    monkeypatch.setattr(runner, "PULSE_S", 0.01)
    monkeypatch.setattr(ledger, "RETRY_S", 0.01)
    made = LocalLedger(tmp_path / "ledger.duckdb")
    yield made
    made.ledger.close()


def create(local: LocalLedger, *names: str, tries: int = 3, key_id: str = "") -> None:
    for number, name in enumerate(names):
        job = Job(
            id=name,
            kind=JobKind.CHECK,
            state=JobState.QUEUED,
            subject_id=name,
            request={},
            created_at=f"2026-01-01T00:00:{number:02d}.000Z",
            key_id=key_id,
        )
        local.ledger.jobs.create(job, tries=tries)


def run(
    local: LocalLedger, story: Callable[[JobRunner, Tasks], Awaitable[None]], **changes: float
) -> Tasks:
    """Tells a story with a runner that has not begun to take jobs."""

    async def told() -> Tasks:
        client = LedgerClient(local, patience_s=60)
        tasks = Tasks(client)
        settings = SETTINGS.model_copy(update=changes)
        made = JobRunner(ledger=client, work=cast(Work, tasks), settings=settings)
        await story(made, tasks)
        return tasks

    return asyncio.run(told())


async def until_ended(local: LocalLedger, *names: str) -> list[JobState]:
    while not all(local.ledger.jobs.get(name).state.ended for name in names):
        await asyncio.sleep(0.01)
    return [local.ledger.jobs.get(name).state for name in names]


async def until_ready(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


def test_waiting_jobs_are_done_and_their_uploads_discarded(local: LocalLedger) -> None:
    create(local, "a", "b", "c")

    async def story(made: JobRunner, _: Tasks) -> None:
        made.start()
        assert await until_ended(local, "a", "b", "c") == [JobState.DONE] * 3
        await until_ready(lambda: made.running == 0)

    tasks = run(local, story)
    assert sorted(tasks.begun) == sorted(tasks.discarded) == ["a", "b", "c"]


def test_a_key_leaves_places_to_others_and_goes_on_when_one_of_its_jobs_ends(
    local: LocalLedger,
) -> None:
    create(local, "a", "b", "c", key_id="mine")

    async def story(made: JobRunner, tasks: Tasks) -> None:
        tasks.gates = {name: asyncio.Event() for name in "abc"}
        made.start()
        await until_ready(lambda: len(tasks.begun) == 1)
        assert (made.reserve("mine"), made.reserve("other")) == (False, True)
        made.release("other")
        tasks.gates["a"].set()
        await until_ready(lambda: len(tasks.begun) == 2)
        tasks.gates["b"].set()
        tasks.gates["c"].set()
        await until_ended(local, "a", "b", "c")

    run(local, story)


def test_no_more_jobs_run_at_once_than_are_allowed(local: LocalLedger) -> None:
    create(local, "a", "b", "c")

    async def story(made: JobRunner, tasks: Tasks) -> None:
        tasks.gates = {name: asyncio.Event() for name in "abc"}
        made.start()
        await until_ready(lambda: len(tasks.begun) == 2)
        assert (made.free, made.reserve()) == (0, False)
        assert local.ledger.jobs.get("c").state is JobState.QUEUED
        for gate in tasks.gates.values():
            gate.set()
        await until_ended(local, "a", "b", "c")

    run(local, story)


def test_a_fault_of_the_service_is_tried_again_and_one_of_the_video_is_not(
    local: LocalLedger,
) -> None:
    create(local, "busy", "bad", "bug")

    async def story(made: JobRunner, tasks: Tasks) -> None:
        tasks.errors = {
            "busy": [Overloaded("busy"), Overloaded("busy")],
            "bad": [EmptyFile("no bytes")],
            "bug": [ZeroDivisionError()],
        }
        made.start()
        assert await until_ended(local, "busy", "bad", "bug") == [
            JobState.DONE,
            JobState.FAILED,
            JobState.DONE,
        ]

    run(local, story)
    assert local.ledger.jobs.get("busy").attempts == 3
    assert local.ledger.jobs.get("bad").error_code == "empty_file"


def test_a_job_that_never_succeeds_is_dead_and_keeps_its_upload(local: LocalLedger) -> None:
    create(local, "j")

    async def story(made: JobRunner, tasks: Tasks) -> None:
        errors: list[Exception] = [Overloaded(f"busy {number}") for number in range(3)]
        tasks.errors = {"j": errors}
        made.start()
        assert await until_ended(local, "j") == [JobState.FAILED]
        await until_ready(lambda: made.running == 0)

    tasks = run(local, story)
    assert local.ledger.jobs.get("j").dead
    assert tasks.discarded == []


def test_a_job_that_takes_too_long_fails_with_the_deadline(local: LocalLedger) -> None:
    create(local, "slow")

    async def story(made: JobRunner, tasks: Tasks) -> None:
        tasks.gates = {"slow": asyncio.Event()}
        made.start()
        assert await until_ended(local, "slow") == [JobState.FAILED]

    run(local, story, job_timeout_s=0.05)
    assert local.ledger.jobs.get("slow").error_code == "deadline_exceeded"


def test_work_on_a_cancelled_job_stops(local: LocalLedger) -> None:
    create(local, "j")

    async def story(made: JobRunner, tasks: Tasks) -> None:
        tasks.gates = {"j": asyncio.Event()}
        made.start()
        await until_ready(lambda: "j" in tasks.begun)
        local.ledger.jobs.cancel("j")
        await until_ready(lambda: made.running == 0)

    run(local, story, lease_s=0.04)
    assert local.ledger.jobs.get("j").state is JobState.CANCELLED


def test_a_job_stays_with_whoever_renews_its_lease(local: LocalLedger) -> None:
    create(local, "j")

    async def story(made: JobRunner, tasks: Tasks) -> None:
        tasks.gates = {"j": asyncio.Event()}
        made.start()
        await until_ready(lambda: local.ledger.jobs.get("j").progress.stage == "embed")
        due = "SELECT due_at FROM jobs"
        first = local.ledger._database.rows(due)
        await until_ready(lambda: local.ledger._database.rows(due) > first)
        tasks.gates["j"].set()
        assert await until_ended(local, "j") == [JobState.DONE]

    assert run(local, story, lease_s=2).begun == ["j"]


def test_an_end_whose_answer_was_lost_with_the_ledger_is_told_again(local: LocalLedger) -> None:
    create(local, "j")

    async def story(made: JobRunner, tasks: Tasks) -> None:
        tasks.gates = {"j": asyncio.Event()}
        made.start()
        await until_ready(lambda: tasks.begun == ["j"])
        local.lose_answers = 3
        tasks.gates["j"].set()
        assert await until_ended(local, "j") == [JobState.DONE]
        await until_ready(lambda: made.running == 0)

    assert run(local, story).begun == ["j"]


def test_a_store_that_is_away_for_long_costs_an_accepted_job_nothing(
    local: LocalLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(local, "j", tries=2)
    monkeypatch.setattr(runner, "OUTAGE_S", 100 * 365 * 86400.0)

    async def story(made: JobRunner, tasks: Tasks) -> None:
        tasks.errors = {"j": [StoreUnavailable("away") for _ in range(7)]}
        made.start()
        assert await until_ended(local, "j") == [JobState.DONE]

    run(local, story)
    assert local.ledger.jobs.get("j").attempts == 8


@pytest.mark.parametrize(("attempts", "wait_s"), [(1, 1), (3, 4), (8, 60), (1_025, 60), (9**9, 60)])
def test_attempts_come_less_often_however_many_there_were(attempts: int, wait_s: float) -> None:
    assert runner.retry_delay_s(attempts, first_s=1.0) == wait_s


def test_a_message_for_a_job_that_has_ended_or_is_held_does_nothing(local: LocalLedger) -> None:
    create(local, "done", "held", "free")

    async def story(made: JobRunner, _: Tasks) -> None:
        for name in ("done", "held"):
            job = local.ledger.jobs.claim_one(name, lease_s=600)
            assert job is not None
            if name == "done":
                local.ledger.jobs.finish(job.lease, result_id="", created=True)
        for name in ("done", "held", "free", "free"):
            await made.run_one(name)

    assert run(local, story).begun == ["free"]


def test_a_retry_is_announced_to_the_broker_with_its_delay(local: LocalLedger) -> None:
    create(local, "j")
    sent: list[tuple[str, float]] = []

    async def send(job_id: str, delay_s: float) -> None:
        sent.append((job_id, delay_s))

    async def story() -> None:
        client = LedgerClient(local)
        tasks = Tasks(client)
        error: DublError = Overloaded("busy")
        tasks.errors = {"j": [error]}
        made = JobRunner(ledger=client, work=cast(Work, tasks), settings=SETTINGS, schedule=send)
        await made.run_one("j")

    asyncio.run(story())
    assert sent == [("j", 0.001)]


def test_a_key_gets_no_more_than_its_share_of_a_consumer(local: LocalLedger) -> None:
    create(local, "a", "b", "c", key_id="greedy")
    create(local, "d", key_id="other")
    sent: list[tuple[str, float]] = []

    async def send(job_id: str, delay_s: float) -> None:
        sent.append((job_id, delay_s))

    async def story() -> None:
        client = LedgerClient(local)
        tasks = Tasks(client)
        tasks.gates = {name: asyncio.Event() for name in ("a", "b")}
        settings = SETTINGS.model_copy(update={"max_concurrent_jobs": 4, "key_share": 0.5})
        made = JobRunner(ledger=client, work=cast(Work, tasks), settings=settings, schedule=send)
        held = [asyncio.create_task(made.run_one(name)) for name in ("a", "b")]
        await until_ready(lambda: len(tasks.begun) == 2)
        await made.run_one("c")
        await made.run_one("d")
        assert sorted(tasks.begun) == ["a", "b", "d"]
        for gate in tasks.gates.values():
            gate.set()
        await asyncio.gather(*held)
        await made.run_one("c")
        assert tasks.begun[-1] == "c"

    asyncio.run(story())
    assert sent == [("c", runner.SENT_AGAIN_S)]


def test_a_job_that_this_process_knows_of_is_taken_at_once(
    local: LocalLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "POLL_S", 3600.0)
    monkeypatch.setattr(runner, "MAX_POLL_S", 3600.0)

    async def story(made: JobRunner, _: Tasks) -> None:
        made.start()
        await asyncio.sleep(0)
        create(local, "j")
        made.wake()
        assert await until_ended(local, "j") == [JobState.DONE]

    run(local, story)
