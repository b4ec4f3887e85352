"""Other ways to find copied videos, each as a score of a query and every reference.

They see the same files, one frame a second. None of them ships thresholds that fit each other's:
they are compared by rankings alone, which is to their advantage.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dubl.errors import WeightsUnavailable
from dubl.evaluation.peers.hashes import Bits, collage_hash, hamming, phash
from dubl.types import Uint8Array

logger = logging.getLogger(__name__)

PDQ_QUALITY = 50
PDQ_DISTANCE = 31
PHASH_DISTANCE = 12
TIE_BREAK = 1e-3

Scores = NDArray[np.float64]
Described = NDArray[np.generic]


class Peer(Protocol):
    """A method: describe each video once, then score a query against all references."""

    @property
    def name(self) -> str: ...

    @property
    def summary(self) -> str: ...

    def describe(self, frames: Uint8Array) -> Described:
        """What is kept of one video's frames uint8 [N,S,S,3], a second apart."""
        ...

    def scores(self, query: Described, references: Sequence[Described]) -> Scores:
        """float64 [R], higher is more alike."""
        ...


class VPdq:
    """vPDQ: PDQ hashes of frames that have enough detail; a frame matches within 31 of 256 bits.

    It reports the share of the query's frames that match, and of the reference's. The larger
    share is taken, since a copy may lie within either; the smaller one orders what is equal.
    """

    name = "vPDQ"
    summary = "PDQ hash a second, quality from 50, distance to 31, larger match percentage"

    def __init__(self) -> None:
        """Raises ImportError without the package pdqhash."""
        self._compute = importlib.import_module("pdqhash").compute

    def describe(self, frames: Uint8Array) -> Bits:
        hashes = [self._compute(np.ascontiguousarray(frame)) for frame in frames]
        good = [np.asarray(bits, dtype=np.bool_) for bits, q in hashes if q >= PDQ_QUALITY]
        return np.stack(good) if good else np.zeros((0, 256), dtype=np.bool_)

    def scores(self, query: Described, references: Sequence[Described]) -> Scores:
        return np.array([self._score(query, one) for one in references])

    def _score(self, query: Described, reference: Described) -> float:
        if not len(query) or not len(reference):
            return 0.0
        close = hamming(query.astype(np.bool_), reference.astype(np.bool_)) <= PDQ_DISTANCE
        shares = (float(close.any(axis=1).mean()), float(close.any(axis=0).mean()))
        return max(shares) + TIE_BREAK * min(shares)


class FramePHash:
    """Each query frame votes for the reference of the frame with the nearest DCT hash.

    A vote weighs 1 − distance / 13, nothing beyond 12 of 64 bits; the score is the mean vote.
    References that are equally near all get it.
    """

    name = "pHash a frame"
    summary = "64-bit DCT hash a second; the nearest frame of all references votes, to distance 12"

    def describe(self, frames: Uint8Array) -> Bits:
        return phash(frames)

    def scores(self, query: Described, references: Sequence[Described]) -> Scores:
        nearest = np.stack(
            [
                hamming(query.astype(np.bool_), one.astype(np.bool_)).min(axis=1)
                for one in references
            ]
        )
        elected = nearest == nearest.min(axis=0)
        weights = np.maximum(1 - nearest / (PHASH_DISTANCE + 1), 0.0)
        votes: Scores = (elected * weights).mean(axis=1)
        return votes


class VideoHash:
    """videohash: one 64-bit hash of a video; the score is the share of equal bits."""

    name = "videohash"
    summary = "64-bit wavelet hash of a collage of one frame a second"

    def describe(self, frames: Uint8Array) -> Bits:
        return collage_hash(frames)

    def scores(self, query: Described, references: Sequence[Described]) -> Scores:
        hashes = np.concatenate([one.astype(np.bool_) for one in references])
        equal: Scores = 1 - hamming(query.astype(np.bool_), hashes)[0] / hashes.shape[1]
        return equal


class PooledImageNet:
    """The origin's served way: one vector a video, ResNet50's regions averaged, by cosine."""

    name = "mean-pooled ResNet50"
    summary = "ImageNet ResNet50 (torchvision), regions of four stages averaged over the video"

    def __init__(self) -> None:
        """Raises WeightsUnavailable where torchvision's weights cannot be had."""
        from dubl.models.imagenet import ImageNetRegions

        self._regions = ImageNetRegions()

    def describe(self, frames: Uint8Array) -> Described:
        mean = self._regions(frames).mean(axis=(0, 1))
        pooled: Described = (mean / np.linalg.norm(mean))[None]
        return pooled

    def scores(self, query: Described, references: Sequence[Described]) -> Scores:
        vectors = np.concatenate(references).astype(np.float64)
        cosines: Scores = vectors @ query.astype(np.float64)[0]
        return cosines


@dataclass(frozen=True, slots=True, kw_only=True)
class Peers:
    """Peers that can run here, and why others cannot, by name."""

    ready: tuple[Peer, ...]
    skipped: Mapping[str, str]


def available_peers() -> Peers:
    """All peers; one whose package or weights are missing is skipped, and it is said why."""
    ready: list[Peer] = []
    skipped: dict[str, str] = {}
    try:
        ready.append(VPdq())
    except ImportError:
        skipped[VPdq.name] = "pdqhash is not installed (pip install 'dubl[peers]'), skipped"
    ready += [FramePHash(), VideoHash()]
    try:
        ready.append(PooledImageNet())
    except WeightsUnavailable as exc:
        skipped[PooledImageNet.name] = f"not reachable here, skipped: {exc.detail}"
    for name, reason in skipped.items():
        logger.warning("%s: %s", name, reason)
    return Peers(ready=tuple(ready), skipped=skipped)
