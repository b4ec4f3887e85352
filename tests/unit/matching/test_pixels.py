"""A copy moves as its original does, whatever was done to the picture; another take does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import pytest

from dubl.matching.pixels import (
    LocalCorrelation,
    PixelMotion,
    registered_pictures,
    unregistered_pictures,
)
from dubl.types import Uint8Array

HEIGHT, WIDTH, COUNT = 180, 256, 8
RNG = np.random.default_rng(3)
Edit = Callable[[Uint8Array], Uint8Array]


def room() -> Uint8Array:
    """A background with much to find in it."""
    rng = np.random.default_rng(1)
    picture = cv2.GaussianBlur(rng.integers(0, 256, (HEIGHT, WIDTH)).astype(np.uint8), (0, 0), 2)
    picture = cv2.normalize(picture, None, 40, 200, cv2.NORM_MINMAX)
    for _ in range(40):
        x, y = int(rng.integers(0, WIDTH)), int(rng.integers(0, HEIGHT))
        cv2.rectangle(picture, (x, y), (x + 14, y + 9), int(rng.integers(0, 256)), -1)
    return np.asarray(picture, dtype=np.uint8)


def take(seed: int) -> list[Uint8Array]:
    """Somebody goes about the room, elsewhere in each take."""
    rng = np.random.default_rng(seed)
    background, pictures = room(), []
    for _ in range(COUNT):
        picture = background.copy()
        center = int(rng.integers(50, WIDTH - 50)), int(rng.integers(40, HEIGHT - 40))
        cv2.ellipse(picture, center, (18, 32), 0, 0, 360, 250, -1)
        pictures.append(picture)
    return pictures


def cropped(picture: Uint8Array) -> Uint8Array:
    return np.asarray(cv2.resize(picture[20:160, 30:230], (256, 256)), dtype=np.uint8)


def captioned(picture: Uint8Array) -> Uint8Array:
    return np.asarray(
        cv2.putText(picture.copy(), "BREAKING", (10, 100), 0, 1.6, 255, 5), dtype=np.uint8
    )


def tilted(picture: Uint8Array) -> Uint8Array:
    turn = cv2.getRotationMatrix2D((128, 90), 12, 0.8)
    return np.asarray(cv2.warpAffine(picture, turn, (WIDTH, HEIGHT)), dtype=np.uint8)


def darker(picture: Uint8Array) -> Uint8Array:
    return (picture * 0.5 + 10).astype(np.uint8)


def mirrored(picture: Uint8Array) -> Uint8Array:
    return np.ascontiguousarray(picture[:, ::-1])


def pixel_motion(
    references: Sequence[Uint8Array], queries: Sequence[Sequence[Uint8Array]]
) -> tuple[PixelMotion, ...]:
    placed = registered_pictures(references, queries)
    return placed.motions if placed else ()


def local_correlation(
    references: Sequence[Uint8Array], queries: Sequence[Uint8Array]
) -> LocalCorrelation | None:
    placed = registered_pictures(references, [queries])
    return placed.by_place(0) if placed else None


def correlations(
    references: Sequence[Uint8Array], queries: Sequence[Sequence[Uint8Array]]
) -> list[float]:
    return [one.correlation for one in pixel_motion(references, queries)]


def negated(picture: Uint8Array) -> Uint8Array:
    return 255 - picture


@pytest.mark.parametrize("edit", [cropped, captioned, tilted, darker, mirrored, negated])
def test_an_edited_copy_moves_as_its_original_does(edit: Edit) -> None:
    original = take(seed=5)
    (correlation,) = correlations(original, [[edit(one) for one in original]])
    assert correlation > 0.8


def zoomed(pictures: list[Uint8Array], first: float, step: float) -> list[Uint8Array]:
    """Ever closer, toward a corner."""
    moves = [
        np.array([[first + step * number, 0, -4 * number], [0, first + step * number, -2 * number]])
        for number in range(len(pictures))
    ]
    return [
        np.asarray(cv2.warpAffine(one, move, (WIDTH, HEIGHT)), dtype=np.uint8)
        for one, move in zip(pictures, moves, strict=True)
    ]


def test_a_copy_whose_picture_is_moved_by_the_edit_is_followed() -> None:
    original = take(seed=5)
    (correlation,) = correlations(original, [zoomed(original, 1.0, 0.03)])
    assert correlation > 0.97


def test_another_take_does_not_follow_the_camera() -> None:
    """Laid upon each picture anew, it would seem to move as the reference's camera does."""
    panned = zoomed([room()] * COUNT, 1.1, 0.0)
    (correlation,) = correlations(panned, [take(seed=6)])
    assert correlation < 0.2


def covered(picture: Uint8Array) -> Uint8Array:
    return np.asarray(cv2.rectangle(picture.copy(), (150, 0), (WIDTH, HEIGHT), 128, -1))


@pytest.mark.parametrize("seed", [5, 8, 9])
def test_what_lies_over_a_copy_is_not_held_against_it(seed: int) -> None:
    original = take(seed=seed)
    (correlation,) = correlations(original, [[covered(one) for one in original]])
    assert correlation > 0.9
    (correlation,) = correlations(original, [[covered(one) for one in take(seed=seed + 1)]])
    assert correlation < 0.4


def test_another_take_in_the_same_room_does_not() -> None:
    (correlation,) = correlations(take(seed=5), [take(seed=6)])
    assert correlation < 0.4


def test_each_row_of_moments_agrees_for_itself() -> None:
    original = take(seed=5)
    late = [*original[1:], original[0]]
    wrong, right = correlations(original, [late, original])
    assert wrong < 0.4
    assert right > 0.95


def test_what_stands_still_tells_nothing() -> None:
    still = [room()] * COUNT
    assert correlations(still, [[captioned(one) for one in still]]) == []


def test_pictures_without_a_place_in_common_tell_nothing() -> None:
    rng = np.random.default_rng(3)
    noise = [rng.integers(0, 256, (HEIGHT, WIDTH)).astype(np.uint8) for _ in range(COUNT)]
    flat = [np.full((HEIGHT, WIDTH), 128, dtype=np.uint8)] * COUNT
    assert correlations(take(seed=5), [flat]) == []
    assert correlations(flat, [noise]) == []


def test_two_pictures_are_too_few() -> None:
    original = take(seed=5)[:2]
    assert correlations(original, [original]) == []


def test_what_opencv_cannot_work_on_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise cv2.error("bad argument")

    monkeypatch.setattr(cv2, "findHomography", refuse)
    assert correlations(take(seed=5), [take(seed=5)]) == []


def ticking(seed: int) -> list[Uint8Array]:
    """Nothing moves but a clock in the corner."""
    noise = np.random.default_rng(seed)
    pictures = [room().astype(np.int16) for _ in range(COUNT)]
    for second, picture in enumerate(pictures):
        picture[8:24, 8:20] = 255 * (second % 2)
        picture += noise.integers(-1, 2, picture.shape)
    return [np.clip(picture, 0, 255).astype(np.uint8) for picture in pictures]


def test_a_clock_in_a_still_picture_proves_no_copy() -> None:
    (found,) = pixel_motion(ticking(1), [ticking(2)])
    assert found.correlation > 0.9
    assert not found.proves


def test_a_cut_at_the_end_of_a_still_picture_proves_no_copy() -> None:
    ours, theirs = ([room()] * (COUNT - 1) + [take(seed)[0]] for seed in (5, 5))
    noisy = [np.clip(one + RNG.integers(-1, 2, one.shape), 0, 255).astype(np.uint8) for one in ours]
    (found,) = pixel_motion(theirs, [noisy])
    assert found.correlation > 0.9
    assert not found.proves


@pytest.mark.parametrize("edit", [cropped, captioned, darker])
def test_the_motion_of_a_copy_proves_it(edit: Edit) -> None:
    original = take(seed=5)
    (found,) = pixel_motion(original, [[edit(one) for one in original]])
    assert found.proves


def passing(seed: int) -> list[Uint8Array]:
    """A camera passes through the room, always in the same way; things lie and move elsewhere."""
    plan = np.hstack([room(), room()[:, ::-1]])
    rng, pictures = np.random.default_rng(seed), []
    starts, ways = rng.uniform(40, 200, (8, 2)), rng.uniform(-9, 9, (8, 2))
    for number in range(COUNT):
        picture = plan[:, 8 * number : 8 * number + WIDTH].copy()
        for start, way in zip(starts, ways, strict=True):
            x, y = start + way * number
            cv2.circle(picture, (int(x), int(0.8 * y)), 18, 180, -1)
        pictures.append(picture)
    return pictures


def test_a_copy_changes_in_nearly_all_places_and_another_take_of_the_same_way_does_not() -> None:
    film, other = passing(1), passing(2)
    (motion,) = pixel_motion(film, [other])
    assert motion.correlation > 0.6  # by its camera
    local = local_correlation(film, other)
    assert local is not None
    assert local.most < 0.5
    for edit in (darker, captioned, cropped):
        copy = local_correlation(film, [edit(one) for one in film])
        assert copy is not None
        assert copy.alike


def program(late_px: float) -> list[Uint8Array]:
    """A big machine moves before a fixed camera, `late_px` behind its usual way."""
    pictures = []
    for number in range(COUNT):
        picture = room().copy()
        x = int(40 + 9 * number - late_px)
        cv2.rectangle(picture, (x, 20), (x + 60, 120), 220, -1)
        cv2.circle(picture, (x + 30, 70), 20, 60, -1)
        pictures.append(picture)
    return pictures


def test_another_run_of_one_program_is_no_copy() -> None:
    usual, late = program(0), program(3)
    local = local_correlation(usual, late)
    assert local is not None
    assert local.alike
    assert not local.equal
    again = local_correlation(usual, [darker(one) for one in usual])
    assert again is not None
    assert again.equal


def bars(late: int) -> list[Uint8Array]:
    """A bar that grows on an empty screen: nothing to register by."""
    pictures = [np.full((HEIGHT, WIDTH), 20, dtype=np.uint8) for _ in range(COUNT)]
    for number, picture in enumerate(pictures):
        cv2.rectangle(picture, (20, 60), (30 + 20 * number - late, 110), 220, -1)
    return pictures


def test_an_empty_screen_is_compared_as_it_lies() -> None:
    screen = bars(0)
    assert not pixel_motion(screen, [bars(7)])
    again = unregistered_pictures(screen, [[darker(one) for one in screen]]).by_place(0)
    assert again is not None
    assert again.equal
    other = unregistered_pictures(screen, [bars(7)]).by_place(0)
    assert other is not None
    assert not other.equal
