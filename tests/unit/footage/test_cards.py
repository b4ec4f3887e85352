"""Pictures that many videos show: of every kind, the same for the same seed."""

import numpy as np

from dubl.footage.cards import common_pictures


def test_pictures_follow_from_the_seed() -> None:
    first, again, other = (common_pictures(24, size=64, seed=seed) for seed in (3, 3, 4))
    assert first.shape == (24, 64, 64, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_black_and_writing_on_black_are_among_them() -> None:
    pictures = common_pictures(80, size=64)
    levels = pictures.reshape(80, -1)
    flat = levels.std(axis=1) < 1
    credits_like = (np.median(levels, axis=1) == 0) & (levels.max(axis=1) > 60)
    assert flat.any()
    assert credits_like.any()
