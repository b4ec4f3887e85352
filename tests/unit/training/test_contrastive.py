"""The contrastive loss: what it rewards and which pairs it leaves alone."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from dubl.models.torch_network import FrameFeatures
from dubl.training.config import LossSettings
from dubl.training.trainer import (
    KeyQueue,
    common_term,
    contrastive_loss,
    entropy_term,
    find_both,
    forbidden_pairs,
    info_nce,
    traced_contrast,
)

NONE = torch.zeros(3, 3, dtype=torch.bool)
OWN = torch.arange(3)


def features(seed: int, count: int = 4) -> FrameFeatures:
    generator = torch.Generator().manual_seed(seed)
    descriptors = F.normalize(torch.randn(count, 256, generator=generator), dim=-1)
    regions = F.normalize(torch.randn(count, 9, 128, generator=generator), dim=-1)
    return FrameFeatures(descriptors, regions)


def loss(queries: FrameFeatures, keys: FrameFeatures, queue: KeyQueue) -> float:
    groups, guests = torch.arange(4), torch.full((4,), -1)
    terms = contrastive_loss(
        queries,
        keys,
        queue,
        groups=groups,
        guests=guests,
        overlaps=torch.eye(36),
        weights=LossSettings(),
    )
    return float(terms.total)


def test_loss_is_least_for_matching_views() -> None:
    queue = KeyQueue(8, 256)
    same, other = features(0), features(1)
    assert loss(same, same, queue) < loss(same, other, queue)


def test_info_nce_of_equal_similarities_is_the_log_of_the_choices() -> None:
    value = info_nce(torch.zeros(3, 3), NONE, OWN, temperature=0.1)
    assert torch.allclose(value, 3 * torch.log(torch.tensor(3.0)))


def test_forbidden_pairs_do_not_count_as_negatives() -> None:
    similarities = torch.tensor([[1.0, 0.9, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    forbidden = NONE.clone()
    forbidden[0, 1] = True
    free = info_nce(similarities, NONE, OWN, temperature=0.1)
    assert info_nce(similarities, forbidden, OWN, temperature=0.1) < free


def test_a_forbidden_diagonal_stays_the_target() -> None:
    own = torch.eye(3, dtype=torch.bool)
    similarities = torch.rand(3, 3)
    expected = info_nce(similarities, NONE, OWN, temperature=0.1)
    assert torch.equal(info_nce(similarities, own, OWN, temperature=0.1), expected)


def test_a_view_with_a_guest_must_find_both_pictures() -> None:
    guests = torch.tensor([1, -1, -1])
    shown = torch.eye(3, dtype=torch.bool)
    shown[0, 1] = True
    both, own_only = torch.eye(3), torch.eye(3)
    both[0, 1] = 1.0
    found = find_both(both, shown, guests, temperature=0.1)
    missed = find_both(own_only, shown, guests, temperature=0.1)
    assert found < missed
    ignoring = find_both(both, shown, torch.full((3,), -1), temperature=0.1)
    assert torch.allclose(found, ignoring, atol=1e-2)


def test_frames_of_one_clip_and_guests_are_forbidden() -> None:
    groups, guests = torch.tensor([5, 6, 7]), torch.tensor([-1, 7, -1])
    expected = [[True, False, False], [False, True, True], [False, False, True]]
    assert forbidden_pairs(groups, guests, groups).tolist() == expected


def test_entropy_term_rewards_distance_to_the_nearest_negative() -> None:
    near, far = torch.full((3, 3), 0.9), torch.full((3, 3), 0.1)
    own = torch.eye(3, dtype=torch.bool)
    assert entropy_term(far, own) < entropy_term(near, own)


def test_a_direction_that_all_share_costs() -> None:
    spread = F.normalize(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]))
    alike = F.normalize(torch.tensor([[1.0, 0.1], [1.0, -0.1], [1.0, 0.2], [1.0, 0.0]]))
    assert common_term(spread) == 0
    assert common_term(alike) > 0.9


def test_queue_keeps_the_newest_keys() -> None:
    queue = KeyQueue(3, 2)
    queue.push(torch.tensor([[1.0, 0.0], [2.0, 0.0]]), torch.tensor([10, 11]))
    assert queue.filled()[1].tolist() == [10, 11]
    queue.push(torch.tensor([[3.0, 0.0], [4.0, 0.0]]), torch.tensor([12, 13]))
    keys, groups = queue.filled()
    assert sorted(groups.tolist()) == [11, 12, 13]
    assert sorted(keys[:, 0].tolist()) == [2.0, 3.0, 4.0]


def test_queue_keys_make_the_task_harder() -> None:
    empty, filled = KeyQueue(8, 256), KeyQueue(8, 256)
    queries, keys = features(0), features(1)
    filled.push(queries.descriptors, torch.tensor([90, 91, 92, 93]))
    assert loss(queries, keys, filled) > loss(queries, keys, empty)


def region_loss(overlaps: Tensor, *, moved: bool = False, alike: bool = False) -> float:
    regions: Tensor = features(0).region_features
    keys = regions.flip(1) if moved else regions
    forbidden = torch.full((4, 4), alike) | torch.eye(4, dtype=torch.bool)
    return float(traced_contrast(regions, keys, overlaps, forbidden, temperature=0.07))


def test_regions_must_find_what_they_overlap() -> None:
    own = torch.eye(36)
    flipped = own.view(4, 9, 36).flip(1).reshape(36, 36)
    assert region_loss(own) < 0.1 < region_loss(own, moved=True)
    assert region_loss(flipped, moved=True) < 0.1


def test_regions_that_show_nowhere_ask_for_nothing() -> None:
    assert region_loss(torch.zeros(36, 36), moved=True) == 0
    assert region_loss(torch.eye(36) * 0.2, moved=True) == 0


def test_regions_of_pictures_that_may_look_alike_are_no_negatives() -> None:
    assert region_loss(torch.eye(36), moved=True, alike=True) == 0
