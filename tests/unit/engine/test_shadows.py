"""Claims about shadow traffic: it is nobody's business but the operator's."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from dubl.engine.flow import Flow, Lane, Question, Steps
from dubl.engine.handles import Handle
from dubl.engine.ledger import LedgerClient
from dubl.engine.shadows import MAX_AT_ONCE, Shadows
from dubl.engine.shell import NO_SHELL
from dubl.engine.work import Work
from dubl.errors import ServiceInterrupted
from dubl.rights.terms import ANYWHERE
from dubl.settings import load_settings
from dubl.types import (
    NO_PRIOR_DECISIONS,
    Check,
    Comparison,
    Job,
    JobKind,
    JobState,
    Outcome,
    Sampling,
    Space,
    Verdict,
    VideoSource,
)
from tests.support.local_ledger import LocalLedger

SOURCE = VideoSource(path="/a.mp4", sha256="0", size_bytes=1, name="a.mp4")
SAMPLING = Sampling(rate_hz=1.0, min_frames=1, frame_size=96)
NEW = Space(id="new", model_id="new@2", query=SAMPLING, second_pass=SAMPLING, reference=SAMPLING)
VERDICT = Verdict(
    outcome=Outcome.UNIQUE,
    probability=0.1,
    matches=(),
    model_id="old@1",
    policy_version="1",
    index_version=1,
)


class OtherSpace:
    """A flow whose shadows wait until they are let go, and meet an error where one is given."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.error: Exception | None = None
        self.begun = 0

    async def shadow(
        self, source: VideoSource, _: Question, *, space_id: str
    ) -> tuple[Space, Verdict]:
        assert (source, space_id) == (SOURCE, "old")
        self.begun += 1
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return NEW, dataclasses.replace(VERDICT, model_id=NEW.model_id)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalLedger]:
    made = LocalLedger(tmp_path / "ledger.duckdb")
    yield made
    made.ledger.close()


def job(name: str) -> Job:
    return Job(
        id=name,
        kind=JobKind.CHECK,
        state=JobState.RUNNING,
        subject_id=name,
        request={},
        created_at="2026-01-01T00:00:00.000Z",
        space_id="old",
    )


def check(name: str) -> Check:
    return Check(
        id=name,
        query_name=name,
        query_sha256=name,
        libraries=(),
        created_at="2026-01-01T00:00:00.000Z",
        verdict=VERDICT,
    )


def tell(
    local: LocalLedger,
    story: Callable[[Shadows, OtherSpace], Awaitable[None]],
    *,
    share: float = 1.0,
) -> OtherSpace:
    async def told() -> OtherSpace:
        other = OtherSpace()
        ledger = LedgerClient(local)
        await story(
            Shadows(flow=cast(Flow, other), ledger=ledger, share=share, shell=NO_SHELL), other
        )
        return other

    return asyncio.run(told())


def begin(shadows: Shadows, local: LocalLedger, name: str) -> None:
    prior: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    prior.set_result(NO_PRIOR_DECISIONS)
    question = Question(
        libraries=(),
        exclude_ids=(),
        registered_before="",
        prior=prior,  # type: ignore[arg-type]
        context=ANYWHERE,
    )
    local.ledger.record_check(check(name))
    shadows.begin(job(name), SOURCE, question, check(name))


async def ended(shadows: Shadows) -> None:
    while shadows._running:
        await asyncio.sleep(0.01)


def test_a_shadow_is_recorded_and_the_file_stays_until_then(local: LocalLedger) -> None:
    async def story(shadows: Shadows, other: OtherSpace) -> None:
        removed = asyncio.Event()
        loop = asyncio.get_running_loop()
        begin(shadows, local, "a")
        await shadows.removed(job("a"), lambda: loop.call_soon_threadsafe(removed.set))
        await asyncio.sleep(0.05)
        assert not removed.is_set()
        other.go.set()
        await removed.wait()

    tell(local, story)
    assert local.ledger.spaces.comparisons() == {"new": Comparison(count=1, agreed=1)}


def test_the_file_of_a_job_without_a_shadow_is_removed_at_once(local: LocalLedger) -> None:
    async def story(shadows: Shadows, _: OtherSpace) -> None:
        removed: list[str] = []
        await shadows.removed(job("a"), lambda: removed.append("a"))
        assert removed == ["a"]

    tell(local, story)


@pytest.mark.parametrize("error", [ServiceInterrupted("lost"), RuntimeError("unforeseen")])
def test_a_shadow_that_fails_is_a_line_in_the_log(
    local: LocalLedger, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(shadows: Shadows, other: OtherSpace) -> None:
        other.error = error
        other.go.set()
        begin(shadows, local, "a")
        await ended(shadows)

    tell(local, story)
    assert local.ledger.spaces.comparisons() == {}
    assert "check a has no shadow" in caplog.text


def test_a_busy_process_leaves_shadows_out(local: LocalLedger) -> None:
    async def story(shadows: Shadows, other: OtherSpace) -> None:
        for number in range(MAX_AT_ONCE + 3):
            begin(shadows, local, f"{number}")
        other.go.set()
        await ended(shadows)

    assert tell(local, story).begun == MAX_AT_ONCE


def test_there_is_no_shadow_without_a_share(local: LocalLedger) -> None:
    async def unshared(shadows: Shadows, other: OtherSpace) -> None:
        other.go.set()
        begin(shadows, local, "b")
        await ended(shadows)

    assert tell(local, unshared, share=0.0).begun == 0


@pytest.mark.parametrize(
    ("share", "spaces", "shadowed"), [(1, 2, True), (1, 1, False), (0, 2, False)]
)
def test_work_has_shadows_where_there_is_a_share_and_a_second_space(
    local: LocalLedger, tmp_path: Path, share: int, spaces: int, shadowed: bool
) -> None:
    settings = load_settings(
        overrides=[f"data_dir={tmp_path}", f"candidate.shadow_share={share}"], environment={}
    )
    work = Work(
        steps=steps(*(lane(f"{number}") for number in range(spaces))),
        flow=cast(Flow, OtherSpace()),
        ledger=LedgerClient(local),
        settings=settings,
        shell=NO_SHELL,
    )
    assert (work._shadows is not None) is shadowed


def steps(*lanes: Lane) -> Steps:
    handle = cast(Handle, object())
    return Steps(decoder=handle, lanes=lanes, librarian=handle, ledger=handle)


def lane(space_id: str) -> Lane:
    handle = cast(Handle, object())
    space = dataclasses.replace(NEW, id=space_id)
    return Lane(space=space, embedder=handle, retriever=handle, reranker=handle)


def test_a_job_finds_the_lane_of_its_space() -> None:
    old, new = lane("old"), lane("new")
    both = steps(old, new)
    assert [both.lane(one) for one in ("", "old", "new")] == [old, old, new]
    with pytest.raises(ServiceInterrupted, match="gone"):
        both.lane("gone")


def test_a_candidates_steps_are_asked_by_the_names_of_their_deployments() -> None:
    alone = ["decoder", "embedder", "retriever", "reranker", "librarian", "ledger"]
    assert [*steps(lane("old")).by_name] == alone
    names = ["candidateembedder", "candidateretriever", "candidatereranker"]
    assert [*steps(lane("old"), lane("new")).by_name] == [*alone, *names]
