"""How well a network finds edited copies of clips from sources held out of training.

The frame yardstick: REFERENCES held-out clips by some frames each; every edit of three of their
frames asks for its clip by the best pair of frames, without views and without alignment. Frames of
the other held-out clips ask for what is not there, as they are and edited. Pairs of two clips of
one scene count for nothing: single frames of one set or one screen may be the same, and what tells
the clips apart is their motion.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dubl.errors import ConfigurationError
from dubl.footage.edits.registry import PICTURE_EDITS, drawn_chain
from dubl.footage.frames import STRENGTHS, edited_frames
from dubl.models.chamfer import frame_similarities
from dubl.models.compact import FRAME_SIZE, CompactNet
from dubl.models.torch_network import FrameFeatures
from dubl.training.datasets import Pack

Pictures = NDArray[np.uint8]
Scores = NDArray[np.float32]
REFERENCES = 60
QUERY_FRAMES = 3
REFERENCE_FRAMES = 6
STRANGER_FRAMES = 2
EDITS = (
    "recode",
    "crop",
    "vertical_cutout",
    "mirror",
    "rotate_small",
    "rotate_90",
    "color",
    "blur",
    "blurred_bars",
    "camcorder",
    "text",
    "stickers",
    "pip_inset",
    "split_screen",
)
CHAIN, CHAIN_LENGTH = "chain", 4
PRECISION = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Yardstick:
    """Frames uint8 [·, S, S, 3]. `references` are [N·REFERENCE_FRAMES] of N clips, `queries` by
    edit are [N·QUERY_FRAMES] in the same order, `strangers` [M·STRANGER_FRAMES]. `mates` [N, N] and
    `stranger_mates` [M·STRANGER_FRAMES, N] are true for two clips of one scene."""

    references: Pictures
    queries: dict[str, Pictures]
    strangers: Pictures
    mates: NDArray[np.bool_]
    stranger_mates: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Average precision pooled over all pairs, and recall before the first wrong pair."""

    micro_ap: float
    recall_at_p1: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameQuality:
    """The yardstick's figures: the first place is right; average precision over all pairs; recall
    at a threshold that leaves precision PRECISION."""

    recall_at_1: float
    micro_ap: float
    recall_at_p95: float


Describe = Callable[[Pictures], FrameFeatures]


def make_yardstick(pack: Pack, *, references: int = REFERENCES, seed: int = 0) -> Yardstick:
    """The same for the same pack. Raises ConfigurationError where too little is held out."""
    rng = np.random.default_rng(seed)
    clips = _held_out_clips(pack)
    if len(clips) < 2:
        raise ConfigurationError("validation needs two held-out clips: name their repositories")
    order = rng.permutation(len(clips))
    count = min(references, len(clips) // 2)
    known, strange = ([clips[index] for index in part] for part in np.split(order, [count]))
    originals = [_spread(pack, clip, QUERY_FRAMES) for clip in known]
    others = [_spread(pack, clip, STRANGER_FRAMES) for clip in strange]
    queries = {
        name: [
            _edited(clip, others[number % len(others)], name, rng)
            for number, clip in enumerate(originals)
        ]
        for name in (*EDITS, CHAIN)
    }
    strangers = [
        _edited(clip, others[number - 1], EDITS[number % len(EDITS)], rng) if number % 2 else clip
        for number, clip in enumerate(others)
    ]
    scenes = np.array([pack.items[clip[0]].scene for clip in known])
    strange_scenes = np.array([pack.items[clip[0]].scene for clip in strange])
    return Yardstick(
        references=_sized([_spread(pack, clip, REFERENCE_FRAMES) for clip in known]),
        queries={name: _sized(edited) for name, edited in queries.items()},
        strangers=_sized(strangers),
        mates=(scenes[:, None] == scenes) & ~np.eye(count, dtype=bool),
        stranger_mates=np.repeat(strange_scenes, STRANGER_FRAMES)[:, None] == scenes,
    )


def measure(describe: Describe, data: Yardstick) -> dict[str, FrameQuality]:
    """Quality by edit, "all" for descriptors over all edits, "regions" for region features."""
    references, strangers = describe(data.references), describe(data.strangers)
    clips = len(data.mates)
    mates, stranger_mates = map(torch.from_numpy, (data.mates, data.stranger_mates))
    found = {name: describe(frames) for name, frames in data.queries.items()}

    def score(by: Callable[[FrameFeatures], Tensor], queries: FrameFeatures) -> Tensor:
        return by(queries).view(-1, clips, REFERENCE_FRAMES).amax(dim=2)

    def asked(by: Callable[[FrameFeatures], Tensor], name: str) -> Tensor:
        best = score(by, found[name]).view(-1, QUERY_FRAMES, clips).amax(1)
        return best.masked_fill(mates, -torch.inf)

    def figures(by: Callable[[FrameFeatures], Tensor], names: list[str]) -> FrameQuality:
        parts = torch.cat([asked(by, name) for name in names])
        others = score(by, strangers).masked_fill(stranger_mates, -torch.inf)
        return frame_quality(parts.numpy(), others.numpy())

    def by_descriptor(queries: FrameFeatures) -> Tensor:
        return queries.descriptors @ references.descriptors.T

    def by_region(queries: FrameFeatures) -> Tensor:
        return frame_similarities(queries.region_features, references.region_features)

    results = {name: figures(by_descriptor, [name]) for name in found}
    results["all"] = figures(by_descriptor, list(found))
    results["regions"] = figures(by_region, list(found))
    return results


def frame_quality(queries: Scores, strangers: Scores) -> FrameQuality:
    """Scores [M, N], where query m asks for clip m modulo N, and [K, N] of strangers."""
    count, clips = queries.shape
    right = np.arange(count)[:, None] % clips == np.arange(clips)
    scores = np.concatenate([queries, strangers]).ravel()
    labels = np.concatenate([right, np.zeros(strangers.shape, bool)]).ravel()[
        np.argsort(-scores, kind="stable")
    ]
    precision = np.cumsum(labels) / np.arange(1, len(labels) + 1)
    safe = np.flatnonzero(precision >= PRECISION)
    return FrameQuality(
        recall_at_1=float((queries.argmax(axis=1) == np.arange(count) % clips).mean()),
        micro_ap=float(precision[labels].sum() / count),
        recall_at_p95=float(labels[: safe[-1] + 1].sum() / count) if len(safe) else 0.0,
    )


@torch.no_grad()
def extract(network: CompactNet, pictures: Pictures, *, batch_size: int = 64) -> FrameFeatures:
    """Features of uint8 pictures [N, S, S, 3], batch by batch."""
    device = network.descriptor_head.weight.device
    parts = [
        network(torch.from_numpy(np.array(pictures[start : start + batch_size])).to(device))
        for start in range(0, len(pictures), batch_size)
    ]
    return FrameFeatures(
        torch.cat([part.descriptors for part in parts]).cpu(),
        torch.cat([part.region_features for part in parts]).cpu(),
    )


def micro_average_precision(scores: Scores, labels: NDArray[np.bool_], positives: int) -> Quality:
    """AP over pooled pairs, Σ precision · Δrecall, and recall at precision 1; `positives` > 0."""
    order = np.argsort(-scores, kind="stable")
    hits = labels[order]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    first_wrong = int(np.argmin(hits)) if not hits.all() else len(hits)
    return Quality(
        micro_ap=float(precision[hits].sum() / positives), recall_at_p1=first_wrong / positives
    )


def _held_out_clips(pack: Pack) -> list[NDArray[np.int64]]:
    """Rows of the frames of each held-out clip; where no clip is held out, of each picture."""
    held_out = [int(index) for index in pack.select(validation=True)]
    frames = [index for index in held_out if pack.items[index].kind == "frame"]
    rows: dict[str, list[int]] = {}
    for index in frames or held_out:
        rows.setdefault(pack.items[index].group, []).append(index)
    return [np.asarray(clip) for clip in rows.values()]


def _spread(pack: Pack, clip: NDArray[np.int64], count: int) -> Pictures:
    """`count` frames spread over a clip."""
    places = np.linspace(0, len(clip) - 1, count).round().astype(int)
    return np.stack([pack.pictures[clip[place]] for place in places])


def _edited(clip: Pictures, guest: Pictures, name: str, rng: np.random.Generator) -> Pictures:
    alone = [edit for edit in PICTURE_EDITS.values() if not edit.needs_donor]
    chain = drawn_chain(CHAIN_LENGTH, rng, pool=alone) if name == CHAIN else [PICTURE_EDITS[name]]
    return edited_frames(clip, guest, chain, rng, strength=float(rng.uniform(*STRENGTHS)))


def _sized(films: Sequence[Pictures]) -> Pictures:
    """All frames [·, S, S, 3], as large as networks take them."""
    size = (FRAME_SIZE, FRAME_SIZE)
    frames = [
        cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for film in films for frame in film
    ]
    return np.stack(frames).astype(np.uint8)
