"""Claims about pairs whose features say duplicate: pixels of both files have a say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from dubl.footage.clips import drawn, write_clip
from dubl.media.sources import hash_file
from dubl.settings import load_settings
from dubl.types import Match, Reference, Segment, Uint8Array
from pipelines.pixel_check import PixelCheck

SIZE, RATE_HZ, SECONDS = (256, 144), 12.0, 6.0


def floor() -> Uint8Array:
    """A plan of a room with much to find in it, wider than the picture."""
    rng = np.random.default_rng(1)
    plan = rng.integers(0, 256, (SIZE[1], 2 * SIZE[0], 3)).astype(np.uint8)
    plan = cv2.normalize(cv2.GaussianBlur(plan, (0, 0), 3), None, 40, 200, cv2.NORM_MINMAX)
    for _ in range(60):
        x, y = int(rng.integers(0, 2 * SIZE[0])), int(rng.integers(0, SIZE[1]))
        cv2.rectangle(plan, (x, y), (x + 14, y + 9), rng.integers(0, 256, 3).tolist(), -1)
    return np.asarray(plan, np.uint8)


def take(seed: int, *, darker: bool = False) -> Callable[[float], Uint8Array]:
    """A camera passes through the room, always in the same way; things move as they like."""
    plan, rng = floor(), np.random.default_rng(seed)
    starts, ways = rng.uniform(40, 200, (6, 2)), rng.uniform(-30, 30, (6, 2))

    def draw(time_s: float) -> Uint8Array:
        left = int(20 * time_s)
        picture = plan[:, left : left + SIZE[0]].copy()
        for number in range(6):
            x, y = starts[number] + ways[number] * time_s
            cv2.circle(picture, (int(x), int(y * 0.6)), 22, (30 * number, 250, 40), -1)
        return (picture * 0.7).astype(np.uint8) if darker else picture

    return draw


def probability(folder: Path, other: Callable[[float], Uint8Array], *, spoil: str = "") -> float:
    """Of a pair of the first take and another one, after the look at pixels."""
    references = {}
    for name, draw in (("first", take(1)), ("other", other)):
        path = folder / f"{name}.mp4"
        write_clip(path, drawn(SIZE, RATE_HZ, SECONDS, draw))
        references[name] = Reference(
            id=name,
            library="main",
            title="",
            owner="",
            metadata={},
            source=str(path),
            sha256=hash_file(path),
            duration_s=SECONDS,
            frame_count=6,
            created_at="2026-01-01T00:00:00.000000Z",
        )
    if spoil == "gone":
        (folder / "other.mp4").unlink()
    elif spoil == "changed":
        (folder / "other.mp4").write_bytes(b"something else")
    whole = Segment(
        query_start_s=0.0,
        query_end_s=SECONDS - 0.2,
        reference_start_s=0.0,
        reference_end_s=SECONDS - 0.2,
        similarity=0.8,
    )
    match = Match(
        reference_id="other", library="main", similarity=0.8, probability=0.97, segments=(whole,)
    )
    settings = load_settings(overrides=[f"data_dir={folder / 'data'}"], environment={})
    check = PixelCheck(settings)
    return check.checked(references["first"], match, references).probability


def test_a_copy_stays_a_duplicate(tmp_path: Path) -> None:
    assert probability(tmp_path, take(1, darker=True)) == 0.97


def test_another_take_with_the_same_way_of_the_camera_is_none(tmp_path: Path) -> None:
    assert probability(tmp_path, take(2)) <= 0.8


@pytest.mark.parametrize("spoil", ["gone", "changed"])
def test_without_the_file_features_decide(tmp_path: Path, spoil: str) -> None:
    assert probability(tmp_path, take(2), spoil=spoil) == 0.97
