"""Whole VideoFeatures of imaginary footage, and stores and comparators for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from dubl.rights.terms import Rights
from dubl.types import (
    FeatureSpec,
    Float16Array,
    Float32Array,
    Float64Array,
    SoundFeatures,
    VideoFeatures,
)
from tests.unit.matching.footage import DIMS, Film, frame_times, noisy

REGIONS, REGION_DIMS = 4, DIMS
SPEC = FeatureSpec(
    model_id="imaginary",
    weights_sha256="0" * 64,
    rate_hz=1.0,
    frame_size=8,
    resize="squash",
    descriptor_dims=DIMS,
    regions=REGIONS,
    region_dims=REGION_DIMS,
)


def video(
    source: Film,
    duration_s: float,
    *,
    rate_hz: float = 1.0,
    noise: float = 0.0,
    times: Float64Array | None = None,
) -> VideoFeatures:
    times_s = frame_times(duration_s, rate_hz=rate_hz) if times is None else times
    descriptors = noisy(source(times_s), noise=noise)
    regions = np.repeat(descriptors[:, None, :], REGIONS, axis=1)
    return VideoFeatures(
        descriptors=descriptors.astype(np.float16),
        region_features=regions.astype(np.float16),
        timestamps_s=times_s,
        views=np.zeros(len(times_s), dtype=np.uint8),
        duration_s=duration_s,
        spec=SPEC,
    )


@dataclass
class Shelf:
    """Stored features; remembers what was asked for."""

    videos: Mapping[str, VideoFeatures]
    asked: list[tuple[str, ...]] = field(default_factory=list)
    rights: dict[str, Rights] = field(default_factory=dict)

    def read_features(self, reference_ids: Sequence[str]) -> Mapping[str, VideoFeatures]:
        self.asked.append(tuple(reference_ids))
        return {name: self.videos[name] for name in reference_ids if name in self.videos}

    def read_sounds(self, reference_ids: Sequence[str]) -> Mapping[str, SoundFeatures]:
        found = {name: self.videos[name].sound for name in reference_ids if name in self.videos}
        return {name: one for name, one in found.items() if one is not None}

    def read_rights(self, reference_ids: Sequence[str]) -> Mapping[str, Rights]:
        return {name: self.rights[name] for name in reference_ids if name in self.rights}


@dataclass
class MeanComparator:
    """Cosine of mean regions; remembers the shapes of what it compared."""

    shapes: list[tuple[int, int]] = field(default_factory=list)

    def similarity(self, query: Float16Array, reference: Float16Array) -> float:
        return float(self.similarity_matrix(query, reference).max(initial=0.0))

    def similarity_matrix(self, query: Float16Array, reference: Float16Array) -> Float32Array:
        self.shapes.append((len(query), len(reference)))
        left = query.astype(np.float32).mean(axis=1)
        right = reference.astype(np.float32).mean(axis=1)
        matrix: Float32Array = left @ right.T
        return matrix
