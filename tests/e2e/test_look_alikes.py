"""What stands still in two videos proves no copy: a cover, color bars, slides, a fixed camera.

The footage is made in code. Each pair is checked with pixels at hand, and from features alone, as
in archives that keep no pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from dubl import LocalClient
from dubl.footage.clips import Clip, cut, drawn, joined, open_clip, write_clip
from dubl.footage.scenes import generate_library
from dubl.settings import load_settings
from dubl.types import Uint8Array

pytestmark = pytest.mark.slow

SIZE, RATE_HZ = (320, 180), 12.0
COLORS = ((192, 192, 192), (192, 192, 0), (0, 192, 192), (0, 192, 0), (192, 0, 192), (192, 0, 0))
Pair = tuple[Clip, Clip]


def still(picture: Uint8Array, seconds: float, seed: int) -> Clip:
    """A picture that stays, with the noise of a recording."""

    def draw(time_s: float) -> Uint8Array:
        noise = np.random.default_rng([seed, round(time_s * RATE_HZ)]).integers(-2, 3, (*SIZE, 3))
        noisy = picture.astype(np.int16) + noise.transpose(1, 0, 2)
        return np.clip(noisy, 0, 255).astype(np.uint8)

    return drawn(SIZE, RATE_HZ, seconds, draw)


def pictures(films: list[Clip]) -> list[Uint8Array]:
    return [np.asarray(next(iter(cut(one, 10, 11).pictures()))) for one in films]


def bars() -> Uint8Array:
    columns = np.array(COLORS, np.uint8)[np.arange(SIZE[0]) * len(COLORS) // SIZE[0]]
    return np.repeat(columns[None], SIZE[1], axis=0)


def same_cover(films: list[Clip]) -> Pair:
    cover = pictures(films)[0]
    return still(cover, 24, 1), still(cover, 25, 2)


def color_bars(films: list[Clip]) -> Pair:
    return (
        joined([still(bars(), 10, 1), films[0]]),
        joined([still(bars(), 10, 2), films[1]]),
    )


def one_slide_in_common(films: list[Clip]) -> Pair:
    shown = pictures(films)
    ours, theirs = (
        joined([still(shown[place], 4, place) for place in deck]) for deck in ((0, 1, 2), (3, 1, 4))
    )
    return ours, theirs


def screenshot(films: list[Clip]) -> Pair:
    return films[0], still(pictures(films)[0], 10, 1)


def other_bars_over_a_cover(films: list[Clip]) -> Pair:
    cover = pictures(films)[0]

    def song(seed: int) -> Clip:
        def draw(time_s: float) -> Uint8Array:
            picture, rng = cover.copy(), np.random.default_rng([seed, int(time_s * 4)])
            for place, height in enumerate(rng.integers(5, 40, 24)):
                picture[-height:, place * 13 : place * 13 + 9] = 255
            return picture

        return drawn(SIZE, RATE_HZ, 16, draw)

    return song(1), song(2)


def fixed_camera(films: list[Clip]) -> Pair:
    yard = pictures(films)[0]

    def day(seed: int) -> Clip:
        rng = np.random.default_rng(seed)
        starts = rng.uniform(0, 14, 3)

        def draw(time_s: float) -> Uint8Array:
            picture = yard.copy()
            for number, start_s in enumerate(starts):
                left = int((time_s - start_s) * 80)
                if 0 <= left < SIZE[0] - 24:
                    picture[80 + 20 * number : 96 + 20 * number, left : left + 24] = (
                        30 + 70 * number
                    )
            return picture

        return drawn(SIZE, RATE_HZ, 16, draw)

    return day(1), day(2)


def black_in_front(films: list[Clip]) -> Pair:
    black = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    return joined([still(black, 6, 1), films[0]]), joined([still(black, 6, 2), films[1]])


LOOK_ALIKES: tuple[Callable[[list[Clip]], Pair], ...] = (
    same_cover,
    color_bars,
    one_slide_in_common,
    screenshot,
    other_bars_over_a_cover,
    fixed_camera,
    black_in_front,
)
SEEDS = (1,)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[Clip]]:
    """Five films for each seed."""
    return {
        seed: [
            open_clip(one, max_rate=RATE_HZ)
            for one in generate_library(
                tmp_path_factory.mktemp("films"),
                count=5,
                seed=seed,
                size=SIZE,
                shortest_s=8,
                longest_s=10,
            )
        ]
        for seed in SEEDS
    }


@pytest.fixture(scope="module", params=["matches", "none"], ids=["pixels", "features"])
def dubl(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalClient]:
    data = tmp_path_factory.mktemp("data")
    options = [f"data_dir={data}", f"evidence.keep={request.param}"]
    with LocalClient(settings=load_settings("configs/local.yaml", options)) as client:
        yield client


def outcome(dubl: LocalClient, folder: Path, library: str, pair: Pair) -> str:
    """Of the second clip against the first one."""
    reference, query = folder / "reference.mp4", folder / "query.mp4"
    for path, clip in zip((reference, query), pair, strict=True):
        write_clip(path, clip)
    dubl.register(reference, library=library)
    reference.unlink()  # so that only kept pictures can be compared
    return dubl.check(query, libraries=[library]).outcome


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("make", LOOK_ALIKES)
def test_what_stands_still_proves_no_copy(
    dubl: LocalClient,
    films: dict[int, list[Clip]],
    tmp_path: Path,
    make: Callable[[list[Clip]], Pair],
    seed: int,
) -> None:
    pair = make(films[seed])
    assert outcome(dubl, tmp_path, f"{make.__name__}-{seed}", pair) != "duplicate"


@pytest.mark.parametrize("seed", SEEDS)
def test_slides_in_the_same_order_are_a_copy(
    dubl: LocalClient, films: dict[int, list[Clip]], tmp_path: Path, seed: int
) -> None:
    deck = pictures(films[seed])
    ours, theirs = (
        joined([still(one, 4, place + noise) for place, one in enumerate(deck)])
        for noise in (0, 10)
    )
    assert outcome(dubl, tmp_path, f"slides-{seed}", (ours, theirs)) == "duplicate"
