"""Videos without pictures for the configured library: random features of the right shape."""

from __future__ import annotations

import numpy as np

from dubl.assembly import feature_spec
from dubl.index.store import Entry
from dubl.settings import Settings
from dubl.types import ReferenceDraft, VideoFeatures, VideoSource


def random_features(settings: Settings, *, seed: int, frames: int = 20) -> VideoFeatures:
    spec, rng = feature_spec(settings), np.random.default_rng(seed)
    vectors = rng.standard_normal((frames, spec.descriptor_dims))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    regions = rng.standard_normal((frames, spec.regions, spec.region_dims))
    return VideoFeatures(
        descriptors=vectors.astype(np.float16),
        region_features=regions.astype(np.float16),
        timestamps_s=np.arange(frames, dtype=np.float64),
        views=np.zeros(frames, dtype=np.uint8),
        duration_s=float(frames),
        spec=spec,
    )


def random_entry(settings: Settings, name: str, *, seed: int, frames: int = 20) -> Entry:
    draft = ReferenceDraft(id=name, title=f"title of {name}", metadata={"número": seed})
    source = VideoSource(path="", sha256=f"{seed:064d}", size_bytes=1, name=f"{name}.mp4")
    features = random_features(settings, seed=seed, frames=frames)
    return Entry(draft=draft, source=source, features=features)
