"""A long video is read in parts: the same rows, and memory of one part only."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from dubl.errors import VideoInParts
from dubl.media import decoder as decoder_module
from dubl.media.decoder import FileDecoder
from dubl.media.evidence_store import MAX_PICTURES, thumbnails, together
from dubl.media.sandbox import SandboxedDecoder
from dubl.settings import MediaSettings
from dubl.types import FrameClip, Sampling, VideoFacts
from tests.support.numbered_clip import numbered_frame
from tests.unit.media.clips import KINDS, NumberedFile, source_of

SETTINGS = MediaSettings()
SAMPLING = Sampling(rate_hz=5.0, min_frames=4, frame_size=96)
IN_PARTS = replace(SAMPLING, part_rows=7)


def assert_same_rows(parts: Sequence[FrameClip], whole: FrameClip) -> None:
    assert len(parts) > 1
    assert max(len(part.frames) for part in parts) <= IN_PARTS.part_rows
    for name in ("timestamps_s", "views", "frames"):
        found = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(found, getattr(whole, name))
    assert {replace(part.facts, damaged=False) for part in parts} == {
        replace(whole.facts, damaged=False)
    }
    assert any(part.facts.damaged for part in parts) == whole.facts.damaged


@pytest.mark.parametrize("kind", KINDS)
def test_parts_have_the_rows_of_the_whole(
    clip_of: Callable[[str], NumberedFile], kind: str
) -> None:
    source = source_of(clip_of(kind).path)
    decoder = FileDecoder(SETTINGS)
    whole = decoder.decode(source, sampling=SAMPLING)
    assert_same_rows(list(decoder.parts(source, sampling=IN_PARTS)), whole)


def test_a_damaged_video_loses_no_other_rows_by_its_parts(
    clip_of: Callable[[str], NumberedFile], tmp_path: Path
) -> None:
    content = bytearray(clip_of("h264 ts").path.read_bytes())
    third = 3 * len(content) // 10
    content[third : third + 1000] = np.random.default_rng(0).bytes(1000)
    path = tmp_path / "damaged.ts"
    path.write_bytes(content)
    decoder = FileDecoder(SETTINGS)
    whole = decoder.decode(source_of(path), sampling=SAMPLING)
    assert whole.facts.damaged
    parts = list(decoder.parts(source_of(path), sampling=IN_PARTS))
    rows = {
        time_s: frame
        for part in parts
        for time_s, frame in zip(part.timestamps_s, part.frames, strict=True)
    }
    assert any(part.facts.damaged for part in parts)
    assert rows.keys() >= set(whole.timestamps_s)
    for time_s, frame in zip(whole.timestamps_s, whole.frames, strict=True):
        np.testing.assert_array_equal(rows[time_s], frame)


def test_a_picture_that_stays_on_screen_is_given_to_each_part(tmp_path: Path) -> None:
    path = tmp_path / "slides.mp4"
    _write(path, [0.0, 0.2, 9.8, 10.0])
    decoder = FileDecoder(SETTINGS)
    whole = decoder.decode(source_of(path), sampling=SAMPLING)
    assert_same_rows(list(decoder.parts(source_of(path), sampling=IN_PARTS)), whole)


def test_a_short_video_is_one_part_and_a_long_one_no_clip(
    clip_of: Callable[[str], NumberedFile],
) -> None:
    source = source_of(clip_of("h264 mp4").path)
    decoder = FileDecoder(SETTINGS)
    enough = replace(SAMPLING, part_rows=100)
    whole = decoder.decode(source, sampling=enough)
    (part,) = decoder.parts(source, sampling=enough)
    np.testing.assert_array_equal(part.frames, whole.frames)
    with pytest.raises(VideoInParts):
        decoder.decode(source, sampling=IN_PARTS)


def test_the_decoding_process_waits_for_a_slow_reader_and_survives_one_that_leaves(
    clip_of: Callable[[str], NumberedFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = source_of(clip_of("h264 mp4").path)
    passed_s = [0.0]
    clock = time.monotonic
    monkeypatch.setattr("dubl.media.sandbox.time.monotonic", lambda: clock() + passed_s[0])
    with SandboxedDecoder(SETTINGS) as sandbox:
        whole = sandbox.decode(source, sampling=SAMPLING)
        with closing(sandbox.parts(source, sampling=IN_PARTS)) as parts:
            found = []
            for part in parts:
                found.append(part)
                passed_s[0] += SETTINGS.decode_timeout_s  # the reader's, not the decoder's
        assert_same_rows(found, whole)
        with closing(sandbox.parts(source, sampling=IN_PARTS)) as parts:
            next(parts)
        again = sandbox.decode(source, sampling=SAMPLING)
    np.testing.assert_array_equal(again.frames, whole.frames)


def test_the_further_streams_of_a_long_video_are_read_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "two.mkv"
    _write(path, [place / 5 for place in range(50)], streams=2)
    every = replace(IN_PARTS, every_stream=True)
    decoder = FileDecoder(SETTINGS)
    whole = decoder.decode(source_of(path), sampling=replace(every, part_rows=0))
    parts = list(decoder.parts(source_of(path), sampling=every))
    np.testing.assert_array_equal(np.concatenate([part.views for part in parts]), whole.views)
    assert parts[-1].facts.notes == whole.facts.notes
    monkeypatch.setattr(decoder_module, "MAX_ROWS", 60)
    whole = decoder.decode(source_of(path), sampling=replace(every, part_rows=0))
    *_, last = decoder.parts(source_of(path), sampling=every)
    assert last.facts.notes == whole.facts.notes


def test_thumbnails_of_parts_are_spread_over_the_whole_video() -> None:
    parts = [_still_clip(first) for first in range(0, 5000, 500)]
    kept = together([thumbnails(part, is_part=True) for part in parts])
    assert 0.9 * MAX_PICTURES < len(kept.pictures) == len(kept.times_s) <= MAX_PICTURES + len(parts)
    assert max(np.diff(kept.times_s)) <= 2 * 5000 / MAX_PICTURES


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    """Peak memory of the decoding process for 20 minutes and two hours. All frames would take
    five times as much."""
    sampling = Sampling(rate_hz=1.0, min_frames=16, frame_size=160, part_rows=256)
    peaks = []
    for minutes in (20, 120):
        path = tmp_path / f"{minutes}.mp4"
        _write(path, [float(second) for second in range(60 * minutes)])
        with SandboxedDecoder(SETTINGS) as sandbox:
            rows = sum(len(one.frames) for one in sandbox.parts(source_of(path), sampling=sampling))
            peaks.append(_peak_bytes(sandbox))
        assert rows > 55 * minutes
    frames_bytes = 7200 * 3 * 160**2
    assert peaks[1] - peaks[0] < frames_bytes / 5


def _peak_bytes(sandbox: SandboxedDecoder) -> int:
    (worker,) = sandbox._workers
    text = Path(f"/proc/{worker._process.pid}/status").read_text()
    (line,) = (line for line in text.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def _write(path: Path, times_s: Sequence[float], *, streams: int = 1) -> None:
    with av.open(str(path), "w") as container:
        written = []
        for _ in range(streams):
            stream = container.add_stream("h264", rate=25, options={"preset": "ultrafast"})
            stream.width, stream.height, stream.pix_fmt = 192, 128, "yuv420p"
            stream.codec_context.gop_size = 10
            written.append(stream)
        for number, time_s in enumerate(times_s):
            for place, stream in enumerate(written):
                frame = av.VideoFrame.from_ndarray(
                    numbered_frame(number + 1000 * place), format="rgb24"
                )
                frame.pts = round(time_s * 25)
                container.mux(stream.encode(frame))
        for stream in written:
            container.mux(stream.encode(None))


def _still_clip(first_s: int) -> FrameClip:
    """500 of 5 000 seconds."""
    return FrameClip(
        frames=np.zeros((500, 8, 8, 3), np.uint8),
        timestamps_s=first_s + np.arange(500.0),
        views=np.zeros(500, np.uint8),
        facts=VideoFacts(
            duration_s=5000,
            width=8,
            height=8,
            rotation_deg=0,
            codec="h264",
            container="mp4",
            frame_rate_hz=25,
            backend="pyav",
        ),
    )
