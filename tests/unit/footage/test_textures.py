"""Pictures made by rules are varied and repeatable."""

from __future__ import annotations

import numpy as np

from dubl.footage.textures import procedural_picture


def pictures(seed: int, count: int) -> list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    rng = np.random.default_rng(seed)
    return [procedural_picture(rng, size=64) for _ in range(count)]


def test_pictures_have_the_wanted_shape_and_type() -> None:
    for picture in pictures(0, 12):
        assert picture.shape == (64, 64, 3)
        assert picture.dtype == np.uint8


def test_no_two_pictures_are_alike() -> None:
    made = [picture.astype(np.float32) for picture in pictures(1, 12)]
    differences = [np.abs(one - other).mean() for i, one in enumerate(made) for other in made[:i]]
    assert min(differences) > 10


def test_pictures_show_something() -> None:
    assert min(float(picture.std()) for picture in pictures(2, 12)) > 5


def test_the_same_seed_gives_the_same_pictures() -> None:
    for one, other in zip(pictures(3, 4), pictures(3, 4), strict=True):
        assert np.array_equal(one, other)
