"""A file that breaks or blocks the decoder costs one process, and nothing else."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from dubl.errors import DecoderCrashed, DecodeTimeout, LeaseLost, NoVideoStream
from dubl.media.decoder import FileDecoder
from dubl.media.sandbox import SandboxedDecoder
from dubl.settings import MediaSettings
from dubl.types import Sampling, VideoSource
from tests.support.numbered_clip import write_audio_file
from tests.unit.media.clips import NumberedFile, source_of

SAMPLING = Sampling(rate_hz=2.0, min_frames=4, frame_size=96)
REPOSITORY = Path(__file__).resolve().parents[3]

# The real worker, whose decoder misbehaves on files of certain names.
UNRULY_WORKER = """
import os, sys, threading
sys.path.insert(0, {repository!r})
import numpy as np
from dubl.media import decode_worker, decoder

decode = decoder.FileDecoder.decode
leaked = []

def unruly(self, source, *, sampling):
    if source.name == "crash":
        os.abort()
    if source.name == "exception":
        raise KeyError("a bug in the decoder")
    if source.name == "hang":
        threading.Event().wait()
    if source.name == "greedy":
        np.ones(1 << 34, dtype=np.uint8)
    if source.name == "leaky":
        leaked.append(np.zeros(5 << 29, dtype=np.uint8))
    if source.name == "chatty":
        print("x" * 3_000_000)
        print("y" * 3_000_000, file=sys.stderr, flush=True)
    return decode(self, source, sampling=sampling)

decoder.FileDecoder.decode = unruly
decode_worker.main()
"""


@pytest.fixture(scope="module")
def unruly_command(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    script = tmp_path_factory.mktemp("worker") / "unruly_worker.py"
    script.write_text(UNRULY_WORKER.format(repository=str(REPOSITORY)))
    return sys.executable, str(script)


@pytest.fixture(scope="module")
def unruly(unruly_command: tuple[str, str]) -> Iterator[SandboxedDecoder]:
    settings = MediaSettings(decode_timeout_s=4.0, decode_memory_bytes=4 << 30)
    with SandboxedDecoder(settings, command=unruly_command) as decoder:
        yield decoder


@pytest.fixture
def clip(clip_of: Callable[[str], NumberedFile]) -> VideoSource:
    return source_of(clip_of("h264 mp4, b-frames").path)


def _called(name: str, source: VideoSource) -> VideoSource:
    return VideoSource(path=source.path, sha256="", size_bytes=0, name=name)


@pytest.mark.parametrize("views", ["whole", "parts", "all"])
def test_the_process_gives_what_the_decoder_gives(
    clip: VideoSource, views: Literal["whole", "parts", "all"]
) -> None:
    sampling = replace(SAMPLING, views=views)
    with SandboxedDecoder(MediaSettings()) as decoder:
        there = decoder.decode(clip, sampling=sampling)
    here = FileDecoder(MediaSettings()).decode(clip, sampling=sampling)
    assert (len(np.unique(here.views)) > 9) == (views == "all")
    assert np.array_equal(there.frames, here.frames)
    assert np.array_equal(there.timestamps_s, here.timestamps_s)
    assert np.array_equal(there.views, here.views)
    assert there.facts == here.facts
    assert there.timings_ms["decode"] > 0


def test_a_crash_is_told_and_the_next_file_is_served(
    unruly: SandboxedDecoder, clip: VideoSource
) -> None:
    with pytest.raises(DecoderCrashed) as caught:
        unruly.decode(_called("crash", clip), sampling=SAMPLING)
    assert caught.value.context == {"exit_status": -6, "name": "crash"}
    assert len(unruly.decode(clip, sampling=SAMPLING).frames) == 8


def test_a_hanging_decoder_is_ended_and_the_next_file_is_served(
    unruly: SandboxedDecoder, clip: VideoSource
) -> None:
    with pytest.raises(DecodeTimeout) as caught:
        unruly.decode(_called("hang", clip), sampling=SAMPLING)
    assert caught.value.context == {"limit_s": 4.0, "name": "hang"}
    assert len(unruly.decode(clip, sampling=SAMPLING).frames) == 8


@pytest.mark.parametrize("name", ["exception", "greedy"])
def test_a_failing_decoder_counts_as_crashed(
    unruly: SandboxedDecoder, clip: VideoSource, name: str
) -> None:
    with pytest.raises(DecoderCrashed) as caught:
        unruly.decode(_called(name, clip), sampling=SAMPLING)
    assert caught.value.context["name"] == name
    assert len(unruly.decode(clip, sampling=SAMPLING).frames) == 8


def test_a_process_that_keeps_much_memory_is_replaced_before_the_next_file(
    unruly: SandboxedDecoder, clip: VideoSource
) -> None:
    for _ in range(3):  # two of them would not fit
        assert len(unruly.decode(_called("leaky", clip), sampling=SAMPLING).frames) == 8


def test_what_libraries_print_is_no_answer_and_blocks_nobody(
    unruly: SandboxedDecoder, clip: VideoSource
) -> None:
    assert len(unruly.decode(_called("chatty", clip), sampling=SAMPLING).frames) == 8


def test_domain_errors_cross_with_their_context(unruly: SandboxedDecoder, tmp_path: Path) -> None:
    write_audio_file(tmp_path / "sound.m4a", duration_s=1.0)
    with pytest.raises(NoVideoStream) as caught:
        unruly.decode(source_of(tmp_path / "sound.m4a"), sampling=SAMPLING)
    assert caught.value.context == {"name": "the sound.m4a"}
    assert "no video stream" in caught.value.detail


def test_threads_share_a_small_pool(unruly_command: tuple[str, str], clip: VideoSource) -> None:
    names = ["a", "crash", "b", "c", "crash", "d"]

    def rows(name: str) -> int:
        try:
            return len(decoder.decode(_called(name, clip), sampling=SAMPLING).frames)
        except DecoderCrashed:
            return -1

    with (
        SandboxedDecoder(MediaSettings(), processes=2, command=unruly_command) as decoder,
        ThreadPoolExecutor(4) as threads,
    ):
        assert list(threads.map(rows, names)) == [8, -1, 8, 8, -1, 8]


def test_closing_ends_what_is_being_decoded(
    unruly_command: tuple[str, str], clip: VideoSource
) -> None:
    decoder = SandboxedDecoder(MediaSettings(), command=unruly_command)
    with ThreadPoolExecutor(1) as threads:
        decoder.decode(clip, sampling=SAMPLING)
        answer = threads.submit(decoder.decode, _called("hang", clip), sampling=SAMPLING)
        threading.Timer(0.2, decoder.close).start()
        with pytest.raises(DecoderCrashed):
            answer.result()
    decoder.close()
    with pytest.raises(DecoderCrashed, match="closed"):
        decoder.decode(clip, sampling=SAMPLING)


def test_a_file_that_nobody_wants_any_more_is_let_go_of_at_once(
    unruly_command: tuple[str, str], clip: VideoSource
) -> None:
    stopped = threading.Event()
    with (
        SandboxedDecoder(MediaSettings(), command=unruly_command) as decoder,
        ThreadPoolExecutor(2) as threads,
    ):
        hangs = _called("hang", clip)
        decoding = threads.submit(decoder.decode, hangs, sampling=SAMPLING, stopped=stopped)
        behind = threads.submit(decoder.decode, hangs, sampling=SAMPLING, stopped=stopped)
        threading.Timer(0.5, stopped.set).start()
        for answer in (decoding, behind):
            with pytest.raises(LeaseLost):
                answer.result()
        assert len(decoder.decode(clip, sampling=SAMPLING).frames) == 8


@pytest.mark.parametrize("script", ["raise SystemExit(3)", "print('hello, here I am' * 1000)"])
def test_a_process_that_is_no_worker_is_told(clip: VideoSource, script: str) -> None:
    command = (sys.executable, "-c", script)
    with (
        SandboxedDecoder(MediaSettings(), command=command) as decoder,
        pytest.raises(DecoderCrashed, match="did not start"),
    ):
        decoder.decode(clip, sampling=SAMPLING)


def test_a_hanging_worker_dies_with_its_owner(
    unruly_command: tuple[str, str], clip: VideoSource
) -> None:
    script = f"""
import threading
from dubl.media.sandbox import SandboxedDecoder
from dubl.settings import MediaSettings
from dubl.types import Sampling, VideoSource
decoder = SandboxedDecoder(MediaSettings(), command={unruly_command!r})
sampling = Sampling(rate_hz=1.0, min_frames=4, frame_size=32)
source = VideoSource(path={clip.path!r}, sha256="", size_bytes=0, name="a")
decoder.decode(source, sampling=sampling)
print(decoder._workers[0]._process.pid, flush=True)
hanging = VideoSource(path={clip.path!r}, sha256="", size_bytes=0, name="hang")
decoder.decode(hanging, sampling=sampling)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=REPOSITORY
    ) as owner:
        assert owner.stdout is not None
        worker = os.pidfd_open(int(owner.stdout.readline()))
        owner.kill()
    ended, _, _ = select.select([worker], [], [], 30)
    os.close(worker)
    assert ended


def test_the_worker_imports_neither_torch_nor_ray() -> None:
    script = "import sys, dubl.media.decode_worker; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.split()
    assert "av" in modules
    assert not {"torch", "ray", "decord", "httpx", "pyarrow"} & set(modules)
