"""Distractors in feature space: crops of photographs that move as real clips do.

A library of 100 000 videos takes days to make and to decode. A crowd takes its place in retrieval
and comparison by features: it has no pixels.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from dubl.errors import InvalidRequest
from dubl.index.reading import batched
from dubl.ports import Embedder
from dubl.types import Float16Array, Float32Array, FrameClip, Uint8Array, VideoFacts, VideoFeatures

FRAMES = 8  # of one distractor; chosen, bounds the size of the library
BATCH = 64  # crops embedded together
LEAST_SIDE = 0.4  # of a crop, as a share of the photograph's
NOWHERE = VideoFacts(duration_s=1.0, width=1, height=1)


def crowd(
    photographs: Path,
    motions: Sequence[VideoFeatures],
    embedder: Embedder,
    *,
    count: int,
    seed: int = 0,
) -> Iterator[VideoFeatures]:
    """`count` distractors; each takes the changes in time of one of `motions`.

    `photographs`: a tar file of pictures. Raises InvalidRequest if there are none.
    """
    rng = np.random.default_rng(seed)
    for some in batched(_crops(photographs, embedder.spec.frame_size, count, rng), BATCH):
        for place, still in enumerate(_embedded(some, embedder)):
            motion = motions[int(rng.integers(len(motions)))]
            yield moved(still, motion, length=FRAMES + place % 2)


def moved(still: VideoFeatures, motion: VideoFeatures, *, length: int) -> VideoFeatures:
    """One picture's features, changing in time like the whole frames of `motion`."""
    rows = np.flatnonzero(motion.views == motion.views[0])[:length]
    descriptors = still.descriptors + _changes(motion.descriptors[rows])
    regions = still.region_features + _changes(motion.region_features[rows])
    return replace(
        motion,
        descriptors=_long(descriptors, 1.0),
        region_features=_long(
            regions, np.linalg.norm(still.region_features.astype(np.float32), axis=-1)[..., None]
        ),
        timestamps_s=motion.timestamps_s[rows],
        views=motion.views[rows],
    )


def _changes(features: Float16Array) -> Float32Array:
    """Deviations from the mean over time."""
    values = features.astype(np.float32)
    changes: Float32Array = values - values.mean(axis=0)
    return changes


def _long(vectors: Float32Array, length: float | Float32Array) -> Float16Array:
    """The vectors with that length."""
    norms = np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-6)
    scaled: Float16Array = (vectors / norms * length).astype(np.float16)
    return scaled


def _crops(
    photographs: Path, side: int, count: int, rng: np.random.Generator
) -> Iterator[Uint8Array]:
    """Windows of the pictures, uint8 [side,side,3], as many of each as `count` needs."""
    try:
        with tarfile.open(photographs) as archive:
            names = [one for one in archive.getmembers() if one.isfile()]
            for place, each in enumerate(names):
                wanted = count // len(names) + (place < count % len(names))
                file = archive.extractfile(each) if wanted else None
                if file is not None:
                    with Image.open(io.BytesIO(file.read())) as picture:
                        image = picture.convert("RGB")
                    yield from (_window(image, side, rng) for _ in range(wanted))
    except (OSError, tarfile.TarError) as exc:
        raise InvalidRequest(f"{photographs} is no archive of pictures: {exc}") from exc


def _window(image: Image.Image, side: int, rng: np.random.Generator) -> Uint8Array:
    width, height = (max(1, int(one * rng.uniform(LEAST_SIDE, 1))) for one in image.size)
    left, top = rng.integers(0, (image.width - width + 1, image.height - height + 1)).tolist()
    box = (left, top, left + width, top + height)
    window = np.asarray(image.resize((side, side), Image.Resampling.BILINEAR, box))
    return window[:, ::-1] if rng.uniform() < 0.5 else window


def _embedded(crops: Sequence[Uint8Array], embedder: Embedder) -> Iterator[VideoFeatures]:
    """Features of each crop by itself."""
    clip = FrameClip(
        frames=np.stack(crops),
        timestamps_s=np.arange(len(crops), dtype=np.float64),
        views=np.zeros(len(crops), dtype=np.uint8),
        facts=NOWHERE,
    )
    (all_of_them,) = embedder.embed([clip])
    for row in range(len(crops)):
        yield replace(
            all_of_them,
            descriptors=all_of_them.descriptors[row : row + 1],
            region_features=all_of_them.region_features[row : row + 1],
            timestamps_s=all_of_them.timestamps_s[:1],
            views=all_of_them.views[row : row + 1],
        )
