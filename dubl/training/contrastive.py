"""The self-supervised loss: an edited picture must find its original among many others.

InfoNCE (van den Oord et al., 2018, eq. 4) against the batch and a queue of keys (He et al., 2020,
section 3.1), plus the differential entropy term of SSCD (Pizzi et al., 2022, eq. 3), which spreads
descriptors so that one threshold serves all pictures. Region features are contrasted by what their
regions show: the edits are known, so it is known which overlap, and how much (CopyNCE, Lu et al.,
2025, section 3.3).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from dubl.models.torch_network import FrameFeatures
from dubl.training.config import LossSettings

NOBODY = -1
MIN_OVERLAP = 0.25  # share of a region that must show in the other view
CPU = torch.device("cpu")


class LossTerms(NamedTuple):
    """The sum to minimize and its parts, each a scalar tensor."""

    total: Tensor
    contrast: Tensor
    entropy: Tensor
    common: Tensor
    regions: Tensor


class KeyQueue:
    """The newest keys [K, D] and their groups [K]; group -1 marks a place not yet filled."""

    def __init__(self, size: int, dims: int, *, device: torch.device = CPU) -> None:
        self.keys = torch.zeros(size, dims, device=device)
        self.groups = torch.full((size,), NOBODY, device=device)
        self.cursor = 0

    def push(self, keys: Tensor, groups: Tensor) -> None:
        """Adds keys [B, D] in place of the oldest."""
        places = (self.cursor + torch.arange(len(keys), device=keys.device)) % len(self.keys)
        self.keys[places] = keys.detach()
        self.groups[places] = groups
        self.cursor = int((self.cursor + len(keys)) % len(self.keys))

    def filled(self) -> tuple[Tensor, Tensor]:
        """Keys [F, D] and groups [F] of the places that hold something."""
        there = self.groups != NOBODY
        return self.keys[there], self.groups[there]


def forbidden_pairs(groups: Tensor, guest_groups: Tensor, key_groups: Tensor) -> Tensor:
    """Bool [B, K]: keys that may rightly look like the query and so are no negatives.

    They come from the group of the query itself or of the guest that its view shows too.
    """
    own = groups[:, None] == key_groups[None]
    return own | (guest_groups[:, None] == key_groups[None])


def info_nce(
    similarities: Tensor, forbidden: Tensor, targets: Tensor, *, temperature: float
) -> Tensor:
    """Sum of -log softmax at the targets: similarities [B, K], targets [B] below K.

    `forbidden` [B, K] leaves pairs out; a target counts even where it is forbidden.
    """
    masked = forbidden.scatter(1, targets[:, None], False)
    logits = (similarities / temperature).masked_fill(masked, float("-inf"))
    return F.cross_entropy(logits, targets, reduction="sum")


def find_both(
    similarities: Tensor, forbidden: Tensor, guests: Tensor, *, temperature: float
) -> Tensor:
    """InfoNCE for query n and key n and, where the view shows a guest too, for the guest's key.

    `guests` [B]: index of the guest's key or -1. The two finds do not compete: each leaves the
    other's key out. Divided by the number of queries.
    """
    own = torch.arange(len(similarities), device=similarities.device)
    rows = (guests != NOBODY).nonzero().flatten()
    total = info_nce(similarities, forbidden, own, temperature=temperature)
    if len(rows):
        total = total + info_nce(
            similarities[rows], forbidden[rows], guests[rows], temperature=temperature
        )
    return total / len(similarities)


def entropy_term(similarities: Tensor, forbidden: Tensor) -> Tensor:
    """-mean log distance to the nearest negative (Kozachenko-Leonenko), for unit vectors."""
    nearest = similarities.masked_fill(forbidden, -1.0).amax(dim=1)
    return -0.5 * torch.log((2 - 2 * nearest).clamp(min=1e-4)).mean()


def common_term(descriptors: Tensor) -> Tensor:
    """Squared length of the mean of unit vectors [B, D]: what all pictures share.

    InfoNCE does not see a direction common to all descriptors, and without this term it grows
    until nothing else is left to tell pictures apart.
    """
    return descriptors.mean(dim=0).square().sum()


def contrastive_loss(
    queries: FrameFeatures,
    keys: FrameFeatures,
    queue: KeyQueue,
    *,
    groups: Tensor,
    guests: Tensor,
    overlaps: Tensor,
    weights: LossSettings,
) -> LossTerms:
    """Loss of strong views against the weak views of the same B pictures, in the same order.

    `groups` [B] of the pictures; `guests` [B]: which picture of the batch the strong view shows
    besides its own, or -1; `overlaps` [B·R, B·R]: which share of a region of the strong views
    shows what a region of the weak views shows.
    """
    guest_groups = torch.where(guests == NOBODY, NOBODY, groups[guests])
    old_keys, old_groups = queue.filled()
    similarities = queries.descriptors @ torch.cat([keys.descriptors, old_keys]).T
    forbidden = forbidden_pairs(groups, guest_groups, torch.cat([groups, old_groups]))
    contrast = find_both(similarities, forbidden, guests, temperature=weights.temperature)
    entropy = entropy_term(similarities, forbidden)
    regions = traced_contrast(
        queries.region_features,
        keys.region_features,
        overlaps,
        forbidden[:, : len(groups)],
        temperature=weights.region_temperature,
    )
    common = common_term(queries.descriptors) + common_term(queries.region_features.flatten(0, 1))
    total = contrast + weights.entropy * entropy
    total = total + weights.common * common + weights.regions * regions
    return LossTerms(total, contrast, entropy, common, regions)


def traced_contrast(
    queries: Tensor, keys: Tensor, overlaps: Tensor, forbidden: Tensor, *, temperature: float
) -> Tensor:
    """Cross-entropy of regions [B,R,D] against all key regions of the batch, targets by overlap.

    A region of which less than MIN_OVERLAP shows anywhere asks for nothing. Regions of pictures
    that may look alike (`forbidden` [B,B]) count as negatives no more than they overlap.
    """
    asking = (overlaps.sum(dim=1) >= MIN_OVERLAP).nonzero().flatten()
    if not len(asking):
        return queries.sum() * 0
    targets = overlaps[asking] / overlaps[asking].sum(dim=1, keepdim=True)
    count = queries.shape[1]
    alike = forbidden.repeat_interleave(count, dim=0).repeat_interleave(count, dim=1)[asking]
    logits = queries.flatten(0, 1)[asking] @ keys.flatten(0, 1).T / temperature
    logits = logits.masked_fill(alike & (targets == 0), float("-inf"))
    finite = torch.where(targets > 0, logits, 0.0)
    return (logits.logsumexp(dim=1) - (targets * finite).sum(dim=1)).mean()
