"""Claims about the flow where steps fail, or an attempt before this one got half-way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Any, cast

import pytest

from dubl.engine.flow import Flow, Lane, Question, Steps
from dubl.errors import DublError, ServiceInterrupted, StateConflict, StoreUnavailable
from dubl.rights.terms import ANYWHERE
from dubl.settings import load_settings
from dubl.types import (
    NO_PRIOR_DECISIONS,
    Match,
    MatchSet,
    Outcome,
    Reference,
    ReferenceDraft,
    Registration,
    Sampling,
    Segment,
    Space,
    VideoSource,
)

SOURCE = VideoSource(path="/a.mp4", sha256="bytes", size_bytes=1, name="a.mp4")
SAMPLING = Sampling(rate_hz=1.0, min_frames=1, frame_size=96)
SPACE = Space(id="s", model_id="m@1", query=SAMPLING, second_pass=SAMPLING, reference=SAMPLING)
SEGMENT = Segment(
    query_start_s=0.0,
    query_end_s=8.0,
    reference_start_s=0.0,
    reference_end_s=8.0,
    similarity=0.8,
)


class Response:
    """What a call of a step gives."""

    def __init__(self, outcome: object) -> None:
        self.outcome = outcome

    def __await__(self) -> Generator[Any, None, object]:
        yield from asyncio.sleep(0).__await__()
        if isinstance(self.outcome, DublError):
            raise self.outcome
        return self.outcome

    def cancel(self) -> None:
        pass

    async def settled(self) -> None:
        pass


class Step:
    """A handle: its methods answer as they were told to, one call after the other, and the last
    answer again and again; `calls` are the names of those that were called."""

    def __init__(self, **answers: list[object]) -> None:
        self.answers = answers
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> object:
        class Method:
            @staticmethod
            def remote(*_: object) -> Response:
                self.calls.append(name)
                given = self.answers.get(name, [None])
                return Response(given.pop(0) if len(given) > 1 else given[0])

        return Method


def flow_of(*overrides: str, at_once: int = 0, **steps: Step) -> Flow:
    def step(name: str) -> Any:
        return cast(Any, steps.get(name, Step()))

    lane = Lane(
        space=SPACE,
        embedder=step("embedder"),
        retriever=step("retriever"),
        reranker=step("reranker"),
    )
    handles = Steps(
        decoder=step("decoder"),
        lanes=(lane,),
        librarian=step("librarian"),
        ledger=step("ledger"),
    )
    return Flow(handles, load_settings(overrides=overrides, environment={}), at_once=at_once)


def matches(probability: float) -> MatchSet:
    match = Match(
        reference_id="film",
        library="main",
        similarity=0.8,
        probability=probability,
        segments=(SEGMENT,),
    )
    return MatchSet(matches=(match,), index_version=1)


async def check(flow: Flow, *, reference_id: str = "") -> Outcome:
    prior = asyncio.get_running_loop().create_future()
    prior.set_result(NO_PRIOR_DECISIONS)
    question = Question(
        libraries=(),
        exclude_ids=(),
        registered_before="",
        prior=prior,
        context=ANYWHERE,
        reference_id=reference_id,
    )
    verdict = await flow.check(
        SOURCE,
        question,
        space_id="",
        check_id="c",
        upload=cast(Any, None),
        on_stage=lambda _: None,
    )
    return verdict.outcome


def outcome(decoder: Step) -> Outcome:
    """Of a check whose features leave doubt."""
    return asyncio.run(check(flow_of(decoder=decoder, reranker=Step(rerank=[matches(0.6)]))))


LOST = ServiceInterrupted("the replica is gone")


@pytest.mark.parametrize(
    ("answers", "wanted"),
    [
        ([matches(0.99)], Outcome.DUPLICATE),
        ([LOST, matches(0.99)], Outcome.DUPLICATE),
        ([LOST, LOST, matches(0.99)], Outcome.REVIEW),
        ([DublError("the query does not decode again")], Outcome.REVIEW),
    ],
)
def test_a_look_that_is_lost_is_made_again_and_never_costs_the_verdict(
    answers: list[object], wanted: Outcome
) -> None:
    assert outcome(Step(verify=list(answers))) is wanted


def test_a_store_that_is_away_is_waited_for() -> None:
    with pytest.raises(StoreUnavailable):
        outcome(Step(verify=[StoreUnavailable("away")]))


def registration(*, library: str = "main", sha256: str = "bytes", created: bool) -> Registration:
    reference = Reference(
        id="film",
        library=library,
        title="",
        owner="",
        metadata={},
        source="a.mp4",
        sha256=sha256,
        duration_s=1.0,
        frame_count=1,
        created_at="2026-01-01T00:00:00.000000Z",
    )
    return Registration(reference=reference, created=created)


def register(decoder: Step, librarian: Step, *, again: bool = False) -> Registration:
    flow = flow_of(decoder=decoder, librarian=librarian)
    draft = ReferenceDraft(id="film", library="main")
    made: Callable[[], Any] = lambda: flow.register(  # noqa: E731
        SOURCE, draft, again=again, on_stage=lambda _: None
    )
    return cast(Registration, asyncio.run(made()))


@pytest.mark.parametrize(
    ("again", "calls"),
    [
        (True, ["describe", "thumbnails_of", "keep_reference"]),
        (False, []),
    ],
)
def test_pictures_that_an_attempt_did_not_get_to_are_kept_by_the_next(
    again: bool, calls: list[str]
) -> None:
    decoder = Step()
    known = registration(created=False)
    assert register(decoder, Step(find=[known]), again=again) == known
    assert decoder.calls == calls


@pytest.mark.parametrize("found", ["before", "in the library"])
@pytest.mark.parametrize(
    ("changed", "text"), [({"library": "theirs"}, "library"), ({"sha256": "others"}, "video")]
)
def test_an_id_of_another_library_or_video_is_refused(
    found: str, changed: dict[str, str], text: str
) -> None:
    other = registration(**changed, created=False)
    librarian = Step(find=[other if found == "before" else None], register=[other])
    with pytest.raises(StateConflict, match=f"another {text}"):
        register(Step(), librarian)


# The third begins when the first has its matches, and has ended when its evidence is stored.
@pytest.mark.parametrize(("at_once", "most"), [(0, 6), (2, 3)])
def test_so_many_are_at_work_as_may_be_and_the_first_come_are_first(
    at_once: int, most: int
) -> None:
    decoder, ended, at_work = Step(), list[str](), list[int]()
    reranker = Step(rerank=[matches(0.99)])

    async def ask(flow: Flow, name: str) -> None:
        await check(flow)
        at_work.append(decoder.calls.count("decode") - len(ended))
        ended.append(name)

    async def all_at_once() -> None:
        flow = flow_of(at_once=at_once, decoder=decoder, reranker=reranker)
        await asyncio.gather(*(ask(flow, name) for name in "abcdef"))

    asyncio.run(all_at_once())
    assert ended == list("abcdef")
    assert max(at_work) == most


def test_checks_of_kept_uploads_take_turns_too() -> None:
    librarian, ended, at_work = Step(), list[str](), list[int]()
    reranker = Step(rerank=[matches(0.99)])

    async def ask(flow: Flow, name: str) -> None:
        await flow.check_kept(
            name,
            space_id="",
            check_id="",
            libraries=(),
            prior=NO_PRIOR_DECISIONS,
            context=ANYWHERE,
        )
        at_work.append(librarian.calls.count("upload_features") - len(ended))
        ended.append(name)

    async def all_at_once() -> None:
        flow = flow_of(at_once=2, librarian=librarian, reranker=reranker)
        await asyncio.gather(*(ask(flow, name) for name in "abcdef"))

    asyncio.run(all_at_once())
    assert ended == list("abcdef")
    assert max(at_work) == 2


@pytest.mark.parametrize(
    ("keep", "reference_id", "kept"),
    [("matches", "", 0), ("matches", "film", 1), ("none", "film", 0), ("all", "", 1)],
)
def test_evidence_of_a_reference_that_was_asked_for_is_kept_unless_none_is(
    keep: str, reference_id: str, kept: int
) -> None:
    decoder, reranker = Step(), Step(rerank=[matches(0.01)])
    flow = flow_of(f"evidence.keep={keep}", decoder=decoder, reranker=reranker)
    assert asyncio.run(check(flow, reference_id=reference_id)) is Outcome.UNIQUE
    assert decoder.calls.count("keep_query") == kept
