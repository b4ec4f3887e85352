"""Other ways to find copied videos, each as a score of a query and every reference, run on a suite.

They see the same files, one frame a second. None of them ships thresholds that fit each other's:
they are compared by rankings alone, which is to their advantage.
"""

from __future__ import annotations

import importlib
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dubl.assembly import make_decoder
from dubl.errors import InputError, ResourceError, WeightsUnavailable
from dubl.evaluation.benchmark.answers import AnsweredQuery, ScoredQuery
from dubl.evaluation.suite import QUERIES, REFERENCES, find_video
from dubl.media.sources import local_source
from dubl.settings import Settings
from dubl.types import Float32Array, Sampling, Uint8Array

logger = logging.getLogger(__name__)

Bits = NDArray[np.bool_]

PHASH_SIDE = 8
PHASH_PICTURE = 32
TILE = 144
COLLAGE_WIDTH = 1024


def phash(frames: Uint8Array) -> Bits:
    """DCT hash of each frame, [N,64].

    The 8x8 lowest frequencies of the 32x32 gray picture, each against their median (Zauner, 2010;
    as in the ImageHash package).
    """
    gray = np.stack([_gray(frame, PHASH_PICTURE) for frame in frames])
    basis = _cosines(PHASH_PICTURE)[:PHASH_SIDE]
    low = (basis @ gray @ basis.T).reshape(len(frames), -1)
    bits: Bits = low > np.median(low, axis=1, keepdims=True)
    return bits


def collage_hash(frames: Uint8Array) -> Bits:
    """videohash's one hash of a whole video, [1,64]: the wavelet hash of all its frames tiled.

    Tiles of 144x144 in round(sqrt(N)) columns, in order of time, the picture 1024 wide. The Haar
    wavelet's 8x8 approximation is the mean of each block, and taking out the overall mean first
    (as ImageHash does) changes nothing against their median.
    """
    columns = round(math.sqrt(len(frames)))
    rows = math.ceil(len(frames) / columns)
    collage = Image.new("RGB", (columns * TILE, rows * TILE))
    for place, frame in enumerate(frames):
        tile = Image.fromarray(frame).resize((TILE, TILE), Image.Resampling.BILINEAR)
        collage.paste(tile, (place % columns * TILE, place // columns * TILE))
    side = 2 ** int(math.log2(min(COLLAGE_WIDTH, COLLAGE_WIDTH * rows / columns)))
    gray = _gray(np.asarray(collage), side)
    means = gray.reshape(8, side // 8, 8, side // 8).mean(axis=(1, 3)).reshape(1, -1)
    bits: Bits = means > np.median(means)
    return bits


def hamming(one: Bits, other: Bits) -> NDArray[np.int64]:
    """Differing bits of [N,B] and [M,B] as [N,M]."""
    left, right = (np.where(bits, 1.0, -1.0).astype(np.float32) for bits in (one, other))
    agreement = left @ right.T
    distance: NDArray[np.int64] = np.rint((one.shape[1] - agreement) / 2).astype(np.int64)
    return distance


def _gray(frame: Uint8Array, side: int) -> Float32Array:
    picture = Image.fromarray(frame).convert("L").resize((side, side), Image.Resampling.LANCZOS)
    return np.asarray(picture, dtype=np.float32)


def _cosines(size: int) -> Float32Array:
    """DCT-II, unnormalized as in the hash's definition: cos(π k (2n + 1) / 2N), [K,N]."""
    places = np.arange(size)
    return np.cos(np.pi * places[:, None] * (2 * places[None] + 1) / (2 * size)).astype(np.float32)


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


# All of these hashes shrink the picture to 144 pixels or fewer, whatever its shape.
SAMPLING = Sampling(rate_hz=1.0, min_frames=1, frame_size=256, resize="squash")
LOGGED_EACH = 50

Descriptions = dict[str, dict[str, Described]]


def score_suite(
    suite: Path,
    queries: Sequence[AnsweredQuery],
    references: Sequence[str],
    peers: Sequence[Peer],
    settings: Settings,
) -> Mapping[str, list[ScoredQuery]]:
    """All queries with their scores, by peer. Videos that cannot be decoded have no score."""
    theirs = _describe(suite / REFERENCES, references, peers, settings)
    asked = _describe(suite / QUERIES, [query.name for query in queries], peers, settings)
    return {
        peer.name: [_scored(query, peer, asked[peer.name], theirs[peer.name]) for query in queries]
        for peer in peers
    }


def _describe(
    folder: Path, names: Sequence[str], peers: Sequence[Peer], settings: Settings
) -> Descriptions:
    """Descriptions by peer and video."""
    decoder = make_decoder(settings)
    found: Descriptions = {peer.name: {} for peer in peers}
    for count, name in enumerate(names, 1):
        try:
            path = find_video(folder, name)
            source = local_source(path, name=name, sha256="")
            frames = decoder.decode(source, sampling=SAMPLING).frames
        except (InputError, ResourceError) as exc:
            logger.warning("peers could not read %s: %s", name, exc.detail)
            continue
        for peer in peers:
            found[peer.name][name] = peer.describe(frames)
        if count % LOGGED_EACH == 0 or count == len(names):
            logger.info("peers, %s: %d of %d", folder.name, count, len(names))
    return found


def _scored(
    query: AnsweredQuery,
    peer: Peer,
    asked: Mapping[str, Described],
    theirs: Mapping[str, Described],
) -> ScoredQuery:
    names = list(theirs) if query.name in asked else []
    scores = np.zeros(0)
    if names:
        scores = peer.scores(asked[query.name], [theirs[name] for name in names])
    return ScoredQuery(
        name=query.name,
        attack=query.attack,
        expected=query.expected,
        references=tuple(names),
        scores=scores,
    )
