"""Numbered clips of many kinds, each written once, and the decoder under test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dubl.media.decoder import FileDecoder
from dubl.settings import MediaSettings
from dubl.types import FrameClip, Sampling
from tests.unit.media.clips import Decode, NumberedFile, source_of, write_kind


@pytest.fixture(scope="session")
def clip_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], NumberedFile]:
    """Gives the clip of a kind in KINDS."""
    folder = tmp_path_factory.mktemp("clips")
    written: dict[str, NumberedFile] = {}

    def clip(name: str) -> NumberedFile:
        if name not in written:
            written[name] = write_kind(name, folder)
        return written[name]

    return clip


@pytest.fixture
def decode() -> Decode:
    """Decodes a file in this process, twice a second unless told otherwise."""

    def run(
        path: Path,
        *,
        settings: MediaSettings | None = None,
        rate_hz: float = 2.0,
        min_frames: int = 4,
        frame_size: int = 96,
        resize: str = "squash",
    ) -> FrameClip:
        sampling = Sampling(
            rate_hz=rate_hz, min_frames=min_frames, frame_size=frame_size, resize=resize
        )
        return FileDecoder(settings or MediaSettings()).decode(source_of(path), sampling=sampling)

    return run
