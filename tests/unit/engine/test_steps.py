"""Claims about steps beside what they call."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from dubl.engine import steps
from dubl.engine.handles import LocalHandle, LocalStep, Step
from dubl.engine.librarian import Librarian
from dubl.errors import LeaseLost, ServiceInterrupted
from dubl.settings import load_settings
from dubl.types import FrameClip, Sampling, VideoSource

SOURCE = VideoSource(path="/a.mp4", sha256="0", size_bytes=1, name="a.mp4")
SAMPLING = Sampling(rate_hz=1.0, min_frames=1, frame_size=96)


class EndlessDecoder:
    """Decodes until it is stopped."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.ended = threading.Event()

    def decode(
        self, source: VideoSource, *, sampling: Sampling, stopped: threading.Event
    ) -> FrameClip:
        self.began.set()
        stopped.wait()
        self.ended.set()
        raise LeaseLost(f"{source.name} at {sampling.rate_hz} Hz is not wanted any more")


def test_decoding_stops_when_its_call_is_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = EndlessDecoder()
    monkeypatch.setattr(steps, "make_local_videos", lambda _: endless)
    settings = load_settings(overrides=[f"data_dir={tmp_path}"], environment={})

    async def story() -> None:
        call = asyncio.create_task(steps.Decoder(settings).decode(SOURCE, SAMPLING))
        await asyncio.to_thread(endless.began.wait)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(story())
    assert endless.ended.wait(60)


def test_a_step_that_was_closed_is_not_made_again() -> None:
    made: list[Step] = []

    class Asked(Step):
        async def ask(self) -> int:
            return len(made)

        async def close(self) -> None: ...

    def make() -> Step:
        made.append(Asked())
        return made[-1]

    async def story() -> None:
        step = LocalStep(make)
        assert await LocalHandle(step).ask.remote() == 1
        await step.close()
        with pytest.raises(ServiceInterrupted):
            await LocalHandle(step).ask.remote()

    asyncio.run(story())
    assert len(made) == 1


def test_a_call_that_comes_while_a_step_closes_is_refused() -> None:
    class Slow(Step):
        def __init__(self) -> None:
            self.closed = False

        async def ask(self) -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                tidying.set()
                await refused.wait()

        async def look(self) -> bool:
            return self.closed

        async def close(self) -> None:
            self.closed = True

    begun, tidying, refused = (asyncio.Event() for _ in range(3))

    async def story() -> None:
        step = LocalStep(Slow)
        LocalHandle(step).ask.remote()
        await begun.wait()
        closing = asyncio.create_task(step.close())
        await tidying.wait()  # the running call was cancelled, and has not ended
        try:
            with pytest.raises(ServiceInterrupted):
                await LocalHandle(step).look.remote()
        finally:
            refused.set()
            await closing

    asyncio.run(story())


def test_a_step_whose_calls_are_held_up_holds_up_no_other_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = threading.Event()

    class Held:
        def find_frame(self, *_: object, **__: object) -> tuple[()]:
            let_go.wait()
            return ()

    monkeypatch.setattr(steps, "make_retriever", lambda _: Held())
    settings = load_settings(overrides=[f"data_dir={tmp_path}"], environment={})

    async def story() -> None:
        made = [
            LocalStep(lambda: steps.Retriever(settings)),
            LocalStep(lambda: Librarian(settings)),
        ]
        retriever, librarian = map(LocalHandle, made)
        await asyncio.gather(*(step.made() for step in made))
        held = [retriever.find_frame.remote(None, [], 1) for _ in range(40)]
        try:
            async with asyncio.timeout(60):
                assert await librarian.libraries.remote() == {}
        finally:
            let_go.set()
            await asyncio.gather(*held)
            for step in made:
                await step.close()

    asyncio.run(story())
