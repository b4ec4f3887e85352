"""What changes alike at the same instants is told from what is only alike."""

from __future__ import annotations

import numpy as np
import pytest

from dubl.matching.motion import MAX_INSTANTS, Sides, common_motion
from dubl.types import Float32Array, Float64Array

RNG = np.random.default_rng(5)
ROOM = RNG.normal(size=32)


def take(seed: int, count: int = 20) -> Float32Array:
    """Unit features of a take in one room, of which little moves."""
    moved = np.random.default_rng(seed).normal(size=(count, 32)) * 0.3
    return unit(ROOM + moved)


def unit(features: Float64Array) -> Float32Array:
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    normalized: Float32Array = (features / lengths).astype(np.float32)
    return normalized


def motion(ours: Float32Array, theirs: Float32Array, *, similarity: float = 0.9) -> float:
    sides: Sides = (ours, theirs)
    return common_motion(sides, sides).signal(similarity)


def change(ours: Float32Array, theirs: Float32Array) -> float:
    sides: Sides = (ours, theirs)
    return common_motion(sides, sides).change


def test_a_copy_whose_features_point_elsewhere_leads_though_its_changes_are_hardly_alike() -> None:
    """As of an edit of the picture's geometry: half of each change goes another way."""
    turned = np.linalg.qr(RNG.normal(size=(32, 32)))[0]
    edited = unit(take(1) + 1.2 * (take(1) @ turned))
    deviations = [one - one.mean(axis=0) for one in (edited, take(1))]
    lengths = np.prod([np.linalg.norm(one) for one in deviations])
    assert (deviations[0] * deviations[1]).sum() / lengths < 0.75
    assert motion(edited, take(1)) > 0.7


def test_another_take_in_the_room_does_not_lead() -> None:
    assert max(motion(take(seed), take(1)) for seed in range(2, 12)) < 0.3


def test_the_same_changes_at_other_instants_do_not_count() -> None:
    assert motion(take(1), np.roll(take(1), 5, axis=0)) < 0.2


def test_a_shared_cut_alone_proves_little() -> None:
    """Both change once and at the same time, as takes of one gesture do."""
    step = np.where(np.arange(20) < 10, 1.0, -1.0)[:, None] * RNG.normal(size=32) * 0.3
    noise = [np.random.default_rng(seed).normal(size=(20, 32)) * 0.05 for seed in (1, 2)]
    ours, theirs = (unit(ROOM + step + one) for one in noise)
    assert motion(ours, theirs) < 0.4 < 0.7 < motion(ours, ours)


@pytest.mark.parametrize(("similarity", "least", "most"), [(0.97, 0.8, 0.9), (0.7, 0.0, 0.05)])
def test_two_still_pictures_count_as_far_as_they_are_the_same(
    similarity: float, least: float, most: float
) -> None:
    still = np.repeat(take(1)[:1], 30, axis=0)
    assert least <= motion(still, still, similarity=similarity) <= most


def recorded(pictures: Float32Array, seed: int) -> Float32Array:
    """Pictures with the noise of a codec or a camera."""
    noise = np.random.default_rng(seed).normal(size=pictures.shape) * 0.003
    return unit(pictures.astype(np.float64) + noise)


@pytest.mark.parametrize("seconds", [4, 24, 240])
def test_stillness_proves_nothing_however_long_it_lasts(seconds: int) -> None:
    still = np.repeat(take(1)[:1], 2 * seconds, axis=0)
    assert change(recorded(still, 1), recorded(still, 2)) < 0.1


@pytest.mark.parametrize(("slides", "least", "most"), [(1, 0.0, 0.1), (2, 0.3, 0.6), (5, 0.7, 1.0)])
def test_each_still_picture_counts_once(slides: int, least: float, most: float) -> None:
    shown = np.repeat(take(1)[:slides], 20, axis=0)
    assert least <= change(recorded(shown, 1), recorded(shown, 2)) <= most


def test_slides_in_another_order_do_not_change_alike() -> None:
    shown, other = (np.repeat(take(1)[order], 20, axis=0) for order in ([0, 1, 2, 3], [3, 0, 2, 1]))
    assert change(recorded(shown, 1), recorded(other, 2)) < 0.3


def test_two_instants_prove_nothing_and_few_prove_less_than_many() -> None:
    assert motion(take(1, 2), take(1, 2)) == 0.0
    assert 0.0 < motion(take(1, 4), take(1, 4)) < motion(take(1, 20), take(1, 20)) < 1.0


def test_long_segments_are_compared_at_a_bounded_number_of_instants() -> None:
    ours = take(1, 5 * MAX_INSTANTS)
    theirs = ours.copy()
    theirs[1::5] = take(2, MAX_INSTANTS)
    assert motion(ours, theirs) == pytest.approx(motion(ours[::5], theirs[::5]))
