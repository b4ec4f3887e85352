"""Claims about work between requests: upkeep goes on, and pictures go with their reference."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from dubl.engine.evidence import Evidence
from dubl.engine.flow import Lane, Steps
from dubl.engine.handles import LocalHandle, LocalStep, Step
from dubl.engine.ledger import LedgerStep
from dubl.engine.librarian import Librarian
from dubl.errors import EvidenceNotKept
from dubl.media.evidence_store import thumbnails
from dubl.media.sources import local_source
from dubl.settings import Settings, load_settings
from dubl.types import (
    Described,
    FrameClip,
    Match,
    ReferenceDraft,
    Sampling,
    Thumbnails,
    VideoFacts,
    VideoSource,
)
from tests.support.stored_videos import random_features

CLIP = FrameClip(
    frames=np.zeros((2, 32, 32, 3), np.uint8),
    timestamps_s=np.arange(2.0),
    views=np.zeros(2, np.uint8),
    facts=VideoFacts(
        duration_s=2.0,
        width=32,
        height=32,
        rotation_deg=0,
        codec="h264",
        container="mov,mp4",
        frame_rate_hz=1.0,
        backend="pyav",
    ),
)
MATCH = Match(reference_id="film", library="main", similarity=0.8, probability=0.9, segments=())


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    options = [
        f"data_dir={tmp_path / 'data'}",
        f'media.allowed_roots=["{tmp_path}"]',
        "index.upkeep_interval_s=0.05",
    ]
    return load_settings(overrides=options, environment={})


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not happened():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("work", ["keep_up", "_index_state", "_tell"])
def test_upkeep_outlives_errors_that_nobody_expected(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, work: str
) -> None:
    runs: list[str] = []
    monkeypatch.setattr("dubl.engine.librarian.TELL_S", 0.05)

    def failing(*_: object) -> Any:
        runs.append(work)
        raise KeyError("a bug in a library")

    async def story() -> None:
        librarian = Librarian(settings)
        monkeypatch.setattr(librarian, work, failing)
        librarian.start()
        await until(lambda: len(runs) > 2)
        await librarian.close()

    with caplog.at_level(logging.ERROR):
        asyncio.run(story())
    assert "a bug in a library" in caplog.text


@pytest.mark.parametrize("work", ["backlog", "with_input"])
def test_the_ledger_s_background_work_outlives_them_too(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, work: str
) -> None:
    runs: list[str] = []
    monkeypatch.setattr("dubl.engine.ledger.TELL_S", 0.05)

    def failing(**_: object) -> Any:
        runs.append(work)
        raise KeyError("a bug in a library")

    async def story() -> None:
        serve = settings.serve.model_copy(update={"reconcile_interval_s": 0.05})
        step = LedgerStep(settings.model_copy(update={"serve": serve}))
        owner = step._ledger if work == "backlog" else step._ledger.jobs
        monkeypatch.setattr(owner, work, failing)
        step.start()
        await until(lambda: len(runs) > 2)
        await step.close()

    asyncio.run(story())


class Decoder(Step):
    """Stores pictures; with `late` of a reference that was deleted just before."""

    def __init__(self, librarian: Librarian, *, late: bool) -> None:
        self.librarian, self.late = librarian, late

    async def describe(self, source: VideoSource, sampling: Sampling) -> Described:
        del source, sampling
        return Described(thumbnails=thumbnails(CLIP), features=())

    async def thumbnails_of(self, described: Described) -> Thumbnails:
        return described.thumbnails

    async def keep_reference(
        self, reference_id: str, source: VideoSource, clip: Thumbnails
    ) -> None:
        if self.late:
            await self.librarian.delete(reference_id)
        self.librarian._kept.keep_reference(reference_id, source, clip)


class Explainer(Step):
    async def explain(self, check_id: str, match: Match) -> None:
        """Pictures are there or not; nothing else is asked."""


def stored(settings: Settings, tmp_path: Path, story: Callable[..., Awaitable[None]]) -> bool:
    """Whether pictures of the archive's reference are stored after the story."""
    file = tmp_path / "film.mp4"
    file.write_bytes(b"a film")

    async def told() -> bool:
        librarian = Librarian(settings)
        draft, source = ReferenceDraft(id="film"), local_source(file, name=str(file))
        await librarian.register(draft, source, random_features(settings, seed=1))
        await story(librarian)
        try:
            librarian._kept.reference("film")
        except EvidenceNotKept:
            return False
        return True

    return asyncio.run(told())


def evidence_of(settings: Settings, librarian: Librarian, decoder: Decoder) -> Evidence:
    def handle(step: Step) -> LocalHandle:
        return LocalHandle(LocalStep(lambda: step))

    none = cast(Any, None)
    lane = Lane(space=none, embedder=none, retriever=none, reranker=handle(Explainer()))
    steps = Steps(decoder=handle(decoder), lanes=(lane,), librarian=handle(librarian), ledger=none)
    return Evidence(steps, settings)


@pytest.mark.parametrize("deleted", [False, True], ids=["stays", "is deleted"])
def test_pictures_of_a_reference_that_is_deleted_while_they_are_stored_do_not_stay(
    settings: Settings, tmp_path: Path, deleted: bool
) -> None:
    async def story(librarian: Librarian) -> None:
        evidence = evidence_of(settings, librarian, Decoder(librarian, late=deleted))
        await evidence.explain("check", MATCH)

    assert stored(settings, tmp_path, story) is not deleted


def test_pictures_that_are_stored_during_a_deletion_go_with_it(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(librarian: Librarian) -> None:
        delete = librarian._library.delete

        def overtaken(reference_id: str) -> None:
            file = VideoSource(path="", sha256="", size_bytes=0, name="film")
            librarian._kept.keep_reference(reference_id, file, CLIP)
            delete(reference_id)

        monkeypatch.setattr(librarian._library, "delete", overtaken)
        await librarian.delete("film")

    assert not stored(settings, tmp_path, story)
