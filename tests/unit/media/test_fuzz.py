"""Mutated files, as many as --fuzz says: each is decoded, or refused with a code."""

from __future__ import annotations

import collections
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dubl.errors import DublError
from dubl.media.sandbox import SandboxedDecoder
from dubl.settings import MediaSettings
from dubl.types import Sampling
from tests.conftest import SHARED
from tests.support.mutations import mutated
from tests.unit.media.clips import KINDS, NumberedFile, source_of

SAMPLING = Sampling(rate_hz=2.0, min_frames=4, frame_size=96, views="parts")
SETTINGS = MediaSettings(decode_timeout_s=20.0, decode_memory_bytes=2 << 30)
REAL_CLIPS = 40
REAL_CLIP_BYTES = 400_000


@pytest.fixture(scope="module")
def originals(clip_of: Callable[[str], NumberedFile]) -> list[bytes]:
    """A clip of each kind, and real ones where there are some."""
    made = [clip_of(name).path.read_bytes() for name in KINDS]
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
