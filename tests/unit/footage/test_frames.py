"""Edits of clips that are held as arrays: shape, repeatability, coding, guests."""

from __future__ import annotations

import numpy as np
import pytest

from dubl.footage.edits.registry import PICTURE_EDITS, find_edit
from dubl.footage.frames import Frames, edited_frames
from dubl.footage.textures import procedural_picture

SIDE = 64


def frames(seed: int, count: int = 5) -> Frames:
    rng = np.random.default_rng(seed)
    return np.stack([procedural_picture(rng, size=SIDE) for _ in range(count)])


def edited(*names: str, seed: int = 0, guest: Frames | None = None) -> Frames:
    edits = [find_edit(name) for name in names]
    rng = np.random.default_rng(seed)
    return edited_frames(frames(1), frames(2) if guest is None else guest, edits, rng, strength=0.5)


@pytest.mark.parametrize("name", PICTURE_EDITS)
def test_frames_keep_their_number_and_shape(name: str) -> None:
    result = edited(name)
    assert result.shape == (5, SIDE, SIDE, 3)
    assert result.dtype == np.uint8


def test_one_seed_gives_one_result() -> None:
    chain = ("crop", "noise", "stickers", "recode")
    np.testing.assert_array_equal(edited(*chain), edited(*chain))
    assert not np.array_equal(edited(*chain), edited(*chain, seed=1))


def test_coded_frames_keep_their_places() -> None:
    before = edited("dark").astype(float)
    for place, after in enumerate(edited("dark", "recode")):
        away = np.abs(before - after).mean(axis=(1, 2, 3))
        assert int(np.argmin(away)) == place


def test_a_recode_goes_through_a_coder() -> None:
    changed = np.abs(edited("recode").astype(int) - frames(1)).mean()
    assert 0 < changed < 40


def test_a_shorter_guest_is_shown_again_and_again() -> None:
    guest = frames(3, count=2)
    result = edited("pip_over", guest=guest)
    assert (result != frames(1)).any(axis=(1, 2, 3)).all()
