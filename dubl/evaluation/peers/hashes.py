"""The picture hashes that peers use, as bits. Frames are uint8 [N,S,S,3], RGB."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dubl.types import Float32Array, Uint8Array

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
