"""Mutated files, as many as --fuzz says: each is decoded, or refused with a code."""

from __future__ import annotations

import collections
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dubl.errors import DublError
from dubl.media.sandbox import SandboxedDecoder
from dubl.settings import MediaSettings
from dubl.types import Note, Sampling
from tests.conftest import SHARED
from tests.support.mutations import mutated
from tests.support.numbered_clip import read_frame_number
from tests.support.odd_files import CONTAINERS, OddFile, odd_file
from tests.support.sounding_clip import Track, melody, write_clip
from tests.unit.media.clips import FRAME_RATE_HZ, KINDS, NumberedFile, source_of

SAMPLING = Sampling(rate_hz=2.0, min_frames=4, frame_size=96, views="parts", sound=True)
SETTINGS = MediaSettings(decode_timeout_s=20.0, decode_memory_bytes=2 << 30)
SOUNDS = (("mp4", "aac"), ("mkv", "flac"), ("avi", "libmp3lame"), ("ts", "mp2"), ("asf", "wmav2"))
REAL_CLIPS = 40
REAL_CLIP_BYTES = 400_000


@pytest.fixture(scope="module")
def originals(
    clip_of: Callable[[str], NumberedFile], tmp_path_factory: pytest.TempPathFactory
) -> list[bytes]:
    """A clip of each kind, some with sound, and real ones where there are some."""
    made = [clip_of(name).path.read_bytes() for name in KINDS]
    folder, song = tmp_path_factory.mktemp("sounding"), melody(2.0, seed=1)
    for suffix, codec in SOUNDS:
        path = folder / f"{codec}.{suffix}"
        made.append(write_clip(path, [Track(samples=song, codec=codec)], seconds=2.0).read_bytes())
    real = sorted((SHARED / "data" / "videos").glob("v*.*"))
    small = [path for path in real if path.stat().st_size < REAL_CLIP_BYTES]
    return made + [path.read_bytes() for path in small[:REAL_CLIPS]]


def test_mutated_files_are_decoded_or_refused_with_a_code_and_harm_nobody(
    originals: list[bytes],
    clip_of: Callable[[str], NumberedFile],
    tmp_path: Path,
    pytestconfig: pytest.Config,
    capsys: pytest.CaptureFixture[str],
) -> None:
    count, path = pytestconfig.getoption("--fuzz"), tmp_path / "mutated"
    outcomes: collections.Counter[str] = collections.Counter()
    whole = source_of(clip_of("h264 mp4").path)
    with SandboxedDecoder(SETTINGS) as decoder:
        expected = decoder.decode(whole, sampling=SAMPLING)
        handles = len(list(Path("/proc/self/fd").iterdir()))
        for seed in range(count):
            path.write_bytes(mutated(seed, originals))
            try:
                clip = decoder.decode(source_of(path), sampling=SAMPLING)
            except DublError as exc:
                outcomes[exc.code] += 1
                if exc.code in ("decoder_crashed", "decode_timeout"):
                    with capsys.disabled():
                        os.write(1, f"\nfile {seed}: {exc.code}: {exc.detail}\n".encode())
            else:
                assert len(clip.frames) == len(clip.timestamps_s) > 0
                outcomes["decoded, damaged" if clip.facts.damaged else "decoded"] += 1
        after = decoder.decode(whole, sampling=SAMPLING)
        assert len(list(Path("/proc/self/fd").iterdir())) == handles
    with capsys.disabled():
        counts = ", ".join(f"{code} {number}" for code, number in outcomes.most_common())
        os.write(1, f"\n{count} mutated files: {counts}\n".encode())
    assert sum(outcomes.values()) == count
    assert not {"internal_error", "operator_error"} & outcomes.keys()
    assert (after.frames == expected.frames).all()


def test_whole_files_in_odd_shapes_are_read_whole(
    clip_of: Callable[[str], NumberedFile], tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    count = pytestconfig.getoption("--fuzz")
    names = [
        name
        for name, kind in KINDS.items()
        if kind.encoding.codec in CONTAINERS and not name.startswith(("turned", "tiny", "late"))
        if not name.endswith("mkv, b-frames")  # whose first packets have no time of decoding
    ]
    wrong: list[str] = []
    with SandboxedDecoder(SETTINGS) as decoder:
        for seed in range(count):
            name = names[seed % len(names)]
            clip = clip_of(name)
            odd = odd_file(
                seed,
                clip.path,
                KINDS[name].encoding.codec,
                reorders=KINDS[name].encoding.b_frames > 0 or KINDS[name].variable,
                folder=tmp_path,
            )
            if problem := problem_of(odd, clip, decoder):
                wrong.append(f"{seed}: {name} as {odd.shape}: {problem}")
    assert not wrong, "\n".join(wrong)


def problem_of(odd: OddFile, clip: NumberedFile, decoder: SandboxedDecoder) -> str:
    """What is wrong with the reading of a whole file; empty if nothing is."""
    try:
        read = decoder.decode(source_of(odd.path), sampling=replace(SAMPLING, views="whole"))
    except DublError as exc:
        return f"{exc.code}: {exc.detail}"
    if read.facts.damaged:
        return "damaged"
    part_s = clip.times_s[-1] + 1 / FRAME_RATE_HZ
    if abs(read.facts.duration_s - odd.parts * part_s) > 0.2 * odd.parts:
        return f"lasts {read.facts.duration_s:.2f} s"
    if (odd.parts > 1) is not (Note.JOINED in read.facts.notes):
        return f"notes {read.facts.notes}"
    numbers = [read_frame_number(frame) for frame in read.frames]
    shown_s = np.array([clip.times_s[number] for number in numbers])
    ahead_s = (read.timestamps_s - shown_s + part_s / 2) % part_s - part_s / 2
    if np.abs(ahead_s).max() > 0.3:
        return f"pictures are {ahead_s.round(2)} s late"
    return ""
