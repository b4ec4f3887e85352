"""Claims about accepting jobs; over a real ledger, without whoever would run them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from dubl.contract.orders import CheckOrder, ReferenceOrder, Terms, VideoInput
from dubl.engine import jobs as jobs_module
from dubl.engine.jobs import Jobs
from dubl.engine.ledger import LedgerClient
from dubl.engine.runner import JobRunner
from dubl.engine.work import NOTHING, Done, Work
from dubl.errors import InvalidRequest, Overloaded
from dubl.ledger.job_queue import JobQueue
from dubl.settings import Settings, load_settings
from dubl.types import Job, JobKind, JobRank, JobState, ReferenceDraft
from tests.support.local_ledger import LocalLedger

VIDEO = VideoInput(link="https://example.org/a.mp4")
SECRET = {"DUBL__WEBHOOKS__SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
URLS = "webhooks.library_urls={films: 'https://films.example', news: 'https://news.example'}"


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalLedger]:
    made = LocalLedger(tmp_path / "ledger.duckdb")
    yield made
    made.ledger.close()


def settings_of(tmp_path: Path, *overrides: str, secret: bool = True) -> Settings:
    return load_settings(
        overrides=[f"data_dir={tmp_path}", *overrides], environment=SECRET if secret else {}
    )


def jobs_of(local: LocalLedger, settings: Settings) -> Jobs:
    return Jobs(ledger=LedgerClient(local), settings=settings)


def found(local: LocalLedger, name: str, kind: JobKind = JobKind.CHECK) -> Job:
    job = local.ledger.jobs.find(name, kind=kind)
    assert job is not None
    return job


def order(name: str, *libraries: str) -> CheckOrder:
    return CheckOrder(id=name, video=VIDEO, libraries=libraries)


def test_an_accepted_job_is_in_the_ledger_with_whom_it_tells(
    local: LocalLedger, tmp_path: Path
) -> None:
    jobs = jobs_of(local, settings_of(tmp_path, URLS))
    terms = Terms(callback_url="https://mine.example", waits=True)
    asyncio.run(jobs.accept(order("a", "films", "other", "news"), terms))
    job = found(local, "a")
    assert (job.state, job.rank) == (JobState.QUEUED, JobRank.WAITED_FOR)
    assert job.callbacks == (
        "https://mine.example",
        "https://films.example",
        "https://news.example",
    )
    draft = ReferenceDraft(id="b", library="films")
    asyncio.run(jobs.accept(ReferenceOrder(video=VIDEO, draft=draft), Terms()))
    assert found(local, "b", JobKind.REFERENCE).callbacks == ("https://films.example",)


def test_a_callback_without_a_secret_is_refused(local: LocalLedger, tmp_path: Path) -> None:
    jobs = jobs_of(local, settings_of(tmp_path, secret=False))
    with pytest.raises(InvalidRequest, match="DUBL__WEBHOOKS__SECRET"):
        asyncio.run(jobs.accept(order("a"), Terms(callback_url="https://mine.example")))
    assert local.ledger.jobs.list().items == ()


def test_a_full_ledger_refuses(local: LocalLedger, tmp_path: Path) -> None:
    jobs = jobs_of(local, settings_of(tmp_path, "serve.max_queued_jobs=1"))
    asyncio.run(jobs.accept(order("a"), Terms()))
    with pytest.raises(Overloaded):
        asyncio.run(jobs.accept(order("b"), Terms()))


def test_waiting_sees_the_end_that_somebody_else_makes(local: LocalLedger, tmp_path: Path) -> None:
    jobs = jobs_of(local, settings_of(tmp_path))

    async def story() -> JobState:
        job = await jobs.accept(order("a"), Terms(waits=True))
        waiting = asyncio.create_task(jobs.wait(job, seconds=300))
        (running,) = local.ledger.jobs.claim(limit=1, lease_s=60)
        local.ledger.jobs.fail(running.lease, code="empty_file", detail="")
        return (await waiting).job.state

    assert asyncio.run(story()) is JobState.FAILED


def test_an_abandoned_job_is_cancelled(local: LocalLedger, tmp_path: Path) -> None:
    jobs = jobs_of(local, settings_of(tmp_path))

    async def story() -> None:
        job = await jobs.accept(order("a"), Terms(waits=True))
        jobs.abandon(job)
        while not local.ledger.jobs.get(job.id).state.ended:
            await asyncio.sleep(0.01)

    asyncio.run(story())
    assert found(local, "a").state is JobState.CANCELLED


def test_who_waits_asks_no_ledger_until_the_job_begins_here(
    local: LocalLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 32 clients and eight jobs at work, 24 callers wait for a job that is not at work."""
    settings = settings_of(tmp_path, "serve.max_concurrent_jobs=1")
    monkeypatch.setattr(jobs_module, "POLL_S", 60.0)
    monkeypatch.setattr(jobs_module, "MAX_POLL_S", 60.0)
    asked = Counter[str]()

    class Counting(LedgerClient):
        async def ask(self, method: Any, *args: Any, **kwargs: Any) -> Any:
            asked[method.__name__] += 1
            return await super().ask(method, *args, **kwargs)

    async def story() -> JobState:
        ledger = Counting(local)
        at_work, end = asyncio.Event(), asyncio.Event()

        class OneAfterTheOther:
            async def perform(self, job: Job, *_: object) -> Done:
                at_work.set()
                await end.wait()
                await ledger.ask(JobQueue.finish, job.lease, result_id=job.id, created=True)
                return NOTHING

            async def discard_upload(self, *_: object) -> None: ...

        runner = JobRunner(
            ledger=ledger, work=cast(Work, OneAfterTheOther()), settings=settings.serve
        )
        runner.start()
        jobs = Jobs(ledger=ledger, settings=settings, runner=runner)
        await jobs.accept(order("first"), Terms(waits=True))
        second = await jobs.accept(order("second"), Terms(waits=True))
        assert second.state is JobState.QUEUED
        waiting = asyncio.create_task(jobs.wait(second, seconds=50))
        await at_work.wait()
        end.set()
        return (await waiting).job.state

    assert asyncio.run(asyncio.wait_for(story(), 40)) is JobState.DONE
    assert asked["get"] <= 2
