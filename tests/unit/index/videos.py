"""A small feature space, and videos made of random descriptors in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from dubl.index.store import Entry, LibraryStore
from dubl.settings import IndexSettings
from dubl.types import (
    FeatureSpec,
    Float64Array,
    ReferenceDraft,
    SoundFeatures,
    SoundSpec,
    VideoFeatures,
    VideoSource,
)

SPEC = FeatureSpec(
    model_id="random-32",
    weights_sha256="0" * 64,
    rate_hz=1.0,
    frame_size=8,
    resize="squash",
    descriptor_dims=32,
    regions=2,
    region_dims=4,
)
SOUND = SoundSpec(
    model_id="random-16",
    weights_sha256="0" * 64,
    sample_rate_hz=8000,
    window_s=2.0,
    step_s=0.5,
    dims=16,
)
# No view of the tables may be older than this: other handles see each write at once.
SETTINGS = IndexSettings(consistency_interval_s=0)

OpenStore = Callable[..., LibraryStore]


def features_of(vectors: Float64Array, times_s: Float64Array | None = None) -> VideoFeatures:
    """A video with these descriptors [N,32], scaled to unit length; zero rows stay zero."""
    count = vectors.shape[0]
    lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    regions = np.arange(count * SPEC.regions * SPEC.region_dims, dtype=np.float16)
    return VideoFeatures(
        descriptors=(vectors / lengths).astype(np.float16),
        region_features=regions.reshape(count, SPEC.regions, SPEC.region_dims),
        timestamps_s=np.arange(count, dtype=np.float64) if times_s is None else times_s,
        views=np.zeros(count, dtype=np.uint8),
        duration_s=float(count),
        spec=SPEC,
    )


def sound_of(seed: int, count: int = 40, *, spec: SoundSpec = SOUND) -> SoundFeatures:
    """A sound of random windows, half a second apart."""
    vectors = np.random.default_rng(seed).standard_normal((count, spec.dims))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return SoundFeatures(
        descriptors=vectors.astype(np.float16),
        times_s=np.arange(count) * spec.step_s,
        duration_s=count * spec.step_s,
        spec=spec,
    )


def random_vectors(seed: int, count: int = 20) -> Float64Array:
    return np.random.default_rng(seed).standard_normal((count, SPEC.descriptor_dims))


def entry(
    reference_id: str,
    *,
    seed: int = 0,
    library: str = "main",
    sha256: str = "",
    features: VideoFeatures | None = None,
    draft: ReferenceDraft | None = None,
) -> Entry:
    """A video of 20 random frames; its sum is its id's own unless given."""
    drafted = draft or ReferenceDraft(id=reference_id, title=f"title of {reference_id}")
    return Entry(
        draft=replace(drafted, id=reference_id, library=library),
        source=VideoSource(
            path="/spool/file",
            sha256=sha256 or f"sum of {reference_id}",
            size_bytes=1,
            name=f"{reference_id}.mp4",
        ),
        features=features or features_of(random_vectors(seed)),
    )
