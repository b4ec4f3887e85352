"""How well a network finds edited copies among held-out pictures.

Half of the held-out pictures are references, the other half are in no list of references. An
edited version of each picture of either half asks for its original.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dubl.footage.edits.registry import PICTURE_EDITS
from dubl.footage.frames import edited_picture
from dubl.models.compact import CompactFeatures, CompactNet

Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationSet:
    """Pictures uint8 [N, S, S, 3], the group of each [N], and edits by attack, [M, S, S, 3] each.

    `reference_indices` say which pictures are references, `query_indices` [M] what was edited,
    `guests` [M] by attack which unrelated picture may show in the edit as well.
    """

    pictures: NDArray[np.uint8]
    groups: NDArray[np.int64]
    reference_indices: NDArray[np.int64]
    query_indices: NDArray[np.int64]
    edits: dict[str, NDArray[np.uint8]]
    guests: dict[str, NDArray[np.int64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Average precision pooled over all pairs, and recall before the first wrong pair."""

    micro_ap: float
    recall_at_p1: float


def make_validation_set(
    pictures: NDArray[np.uint8], groups: Sequence[str], *, queries: int, seed: int = 0
) -> ValidationSet:
    """Edits `queries` of the pictures once by every edit; the same for the same seed."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(pictures))
    chosen = np.sort(rng.permutation(len(pictures))[:queries])
    numbers = np.unique(np.asarray(groups), return_inverse=True)[1].astype(np.int64)
    edits, guests = {}, {}
    for name, edit in PICTURE_EDITS.items():
        guests[name] = np.asarray(
            [rng.choice(np.flatnonzero(numbers != numbers[index])) for index in chosen]
        )
        edits[name] = np.stack(
            [
                edited_picture(pictures[index], pictures[guest], edit, rng)
                for index, guest in zip(chosen, guests[name], strict=True)
            ]
        )
    return ValidationSet(
        pictures=pictures,
        groups=numbers,
        reference_indices=np.sort(order[: len(order) // 2]),
        query_indices=chosen,
        edits=edits,
        guests=guests,
    )


def validate(network: CompactNet, data: ValidationSet) -> dict[str, Quality]:
    """Quality by attack, "all" for descriptors over all edits, "regions" for region features."""
    references = extract(network, data.pictures[data.reference_indices])
    descriptor_scores: dict[str, Scores] = {}
    region_scores: dict[str, Scores] = {}
    results = {}
    for name, edited in data.edits.items():
        queries = extract(network, edited)
        descriptor_scores[name] = (queries.descriptors @ references.descriptors.T).numpy()
        similarities = chamfer(queries.region_features, references.region_features)
        region_scores[name] = similarities.numpy()
        results[name] = _quality({name: descriptor_scores[name]}, data)
    results["all"] = _quality(descriptor_scores, data)
    results["regions"] = _quality(region_scores, data)
    return results


@torch.no_grad()
def extract(
    network: CompactNet, pictures: NDArray[np.uint8], *, batch_size: int = 64
) -> CompactFeatures:
    """Features of uint8 pictures [N, S, S, 3], batch by batch."""
    device = network.descriptor_head.weight.device
    parts = [
        network(torch.from_numpy(np.array(pictures[start : start + batch_size])).to(device))
        for start in range(0, len(pictures), batch_size)
    ]
    return CompactFeatures(
        torch.cat([part.descriptors for part in parts]).cpu(),
        torch.cat([part.region_features for part in parts]).cpu(),
    )


def chamfer(queries: Tensor, references: Tensor) -> Tensor:
    """Mean over query regions of the best similarity: [M, R, D], [N, R, D] → [M, N].

    Chamfer similarity as in ViSiL (Kordopatis-Zilos et al., 2019, eq. 4).
    """
    similarities = torch.einsum("mrd,nsd->mnrs", queries, references)
    return similarities.amax(dim=3).mean(dim=2)


def micro_average_precision(scores: Scores, labels: NDArray[np.bool_], positives: int) -> Quality:
    """AP over pooled pairs, Σ precision · Δrecall, and recall at precision 1; `positives` > 0."""
    order = np.argsort(-scores, kind="stable")
    hits = labels[order]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    first_wrong = int(np.argmin(hits)) if not hits.all() else len(hits)
    return Quality(
        micro_ap=float(precision[hits].sum() / positives), recall_at_p1=first_wrong / positives
    )


def _quality(scores: dict[str, Scores], data: ValidationSet) -> Quality:
    """Quality over the scores [M, R] of some attacks.

    Pairs that may rightly look alike count neither as right nor as wrong: another frame of the
    same clip, and the guest that an edit shows beside the picture itself.
    """
    references = data.reference_indices
    right = data.query_indices[:, None] == references[None]
    same = data.groups[data.query_indices][:, None] == data.groups[references][None]
    pooled, labels = [], []
    for name, part in scores.items():
        shown = data.groups[data.guests[name]][:, None] == data.groups[references][None]
        counted = right | ~(same | shown)
        pooled.append(part[counted])
        labels.append(right[counted])
    positives = int(right.sum()) * len(scores)
    return micro_average_precision(np.concatenate(pooled), np.concatenate(labels), positives)
