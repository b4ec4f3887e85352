"""The scene generator: what the demo and the tests take for real footage."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from dubl.footage.scenes import generate_library, generate_scene_video, scene_frames
from dubl.footage.textures import PAINTERS, Painter
from dubl.footage.video_file import Codec, Image, probe, read_frames

SIZE = (96, 64)


def _images(seed: int, *, duration_s: float = 12.0, frame_rate: float = 4) -> list[Image]:
    frames = scene_frames(seed=seed, duration_s=duration_s, size=SIZE, frame_rate=frame_rate)
    return [frame.image for frame in frames]


def _difference(one: Image, other: Image) -> float:
    return float(np.abs(one.astype(float) - other.astype(float)).mean())


@pytest.mark.parametrize("painter", PAINTERS, ids=lambda painter: str(painter.__name__))
def test_every_texture_has_detail(painter: Painter) -> None:
    still = painter((320, 200), np.random.default_rng(3))
    assert still.size == (320, 200)
    assert np.asarray(still.convert("L")).std() > 8


def test_one_seed_gives_one_video() -> None:
    for one, other in zip(_images(7, duration_s=3), _images(7, duration_s=3), strict=True):
        np.testing.assert_array_equal(one, other)


def test_two_seeds_give_different_videos() -> None:
    differences = [_difference(*pair) for pair in zip(_images(1), _images(2), strict=True)]
    assert np.mean(differences) > 30


def test_a_video_has_several_cuts_and_moves_between_them() -> None:
    images = _images(5, duration_s=14.0, frame_rate=10)
    steps = np.array([_difference(*pair) for pair in itertools.pairwise(images)])
    cuts = steps > 4 * np.median(steps)
    assert 2 <= cuts.sum() <= 7
    assert np.median(steps) > 1.0


@pytest.mark.parametrize(("codec", "suffix"), [("h264", "mp4"), ("vp9", "webm"), ("hevc", "mp4")])
def test_a_written_video_has_the_asked_length_size_and_rate(
    tmp_path: Path, codec: Codec, suffix: str
) -> None:
    path = tmp_path / f"scene.{suffix}"
    generate_scene_video(path, seed=1, duration_s=1.2, size=SIZE, frame_rate=10, codec=codec)
    facts = probe(path)
    assert (facts.size, facts.frame_rate) == (SIZE, 10)
    assert facts.duration_s == pytest.approx(1.2, abs=0.02)
    assert len(list(read_frames(path))) == 12


def test_a_library_mixes_containers_and_lengths(tmp_path: Path) -> None:
    paths = generate_library(tmp_path, count=3, seed=4, size=SIZE, shortest_s=1, longest_s=2)
    assert [path.suffix for path in paths] == [".mp4", ".webm", ".mp4"]
    durations = [probe(path).duration_s for path in paths]
    assert len(set(durations)) == 3
    assert all(0.9 <= duration <= 2.1 for duration in durations)
