"""Runs a frame network over clips. Serving and the indexing job share this embedder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from dubl.ports import SoundDescriber
from dubl.types import (
    FeatureSpec,
    Float16Array,
    FrameClip,
    SoundFeatures,
    Uint8Array,
    VideoFeatures,
)


class FrameDescriptions(NamedTuple):
    """Of N frames, unit length: descriptors [N,D'] and region features [N,R,D]."""

    descriptors: Float16Array
    region_features: Float16Array


class FrameNetwork(Protocol):
    """A frame network: by torch on a GPU, by OpenVINO on a CPU."""

    def describe(self, frames: Uint8Array) -> FrameDescriptions:
        """Features of frames [N,S,S,3] in one pass, preprocessing included."""
        ...


class ClipEmbedder:
    """Embeds clips with a network, `batch_frames` frames of any clips in one pass; and describes
    their sound, if there is a describer."""

    def __init__(
        self,
        network: FrameNetwork,
        spec: FeatureSpec,
        *,
        batch_frames: int = 16,
        sound: SoundDescriber | None = None,
    ) -> None:
        self._network = network
        self._spec = spec
        self._batch_frames = batch_frames
        self._sound = sound

    @property
    def spec(self) -> FeatureSpec:
        return self._spec

    def embed(self, clips: Sequence[FrameClip]) -> list[VideoFeatures]:
        """Features of each clip, in the clips' order. All frames have the spec's size."""
        if not clips:
            return []
        started = time.perf_counter()
        frames = [part for clip in clips for part in self._parts(clip.frames)]
        # The first has no rows, for clips of sound alone.
        results = [self._nothing()]
        results += [self._network.describe(batch) for batch in self._batches(frames)]
        descriptors = np.concatenate([result.descriptors for result in results])
        regions = np.concatenate([result.region_features for result in results])
        embed_ms = (time.perf_counter() - started) * 1000
        features, first = [], 0
        for clip in clips:
            rows = slice(first, first + len(clip.frames))
            first = rows.stop
            features.append(
                VideoFeatures(
                    descriptors=descriptors[rows],
                    region_features=regions[rows],
                    timestamps_s=clip.timestamps_s,
                    views=clip.views,
                    duration_s=clip.facts.duration_s,
                    spec=self._spec,
                    damaged=clip.facts.damaged,
                    notes=clip.facts.notes,
                    timings_ms={**clip.timings_ms, "embed": embed_ms},
                    sound=self._heard(clip),
                )
            )
        return features

    def _nothing(self) -> FrameDescriptions:
        spec = self._spec
        return FrameDescriptions(
            np.zeros((0, spec.descriptor_dims), np.float16),
            np.zeros((0, spec.regions, spec.region_dims), np.float16),
        )

    def _heard(self, clip: FrameClip) -> SoundFeatures | None:
        """The clip's sound; without windows if it has none. None: it is not listened to."""
        if self._sound is None:
            return None
        if clip.sound is not None:
            return self._sound.describe(clip.sound)
        spec = self._sound.spec
        return SoundFeatures(
            descriptors=np.zeros((0, spec.dims), np.float16),
            times_s=np.zeros(0),
            duration_s=clip.facts.duration_s,
            spec=spec,
        )

    def _parts(self, frames: Uint8Array) -> list[Uint8Array]:
        size = self._batch_frames
        return [frames[first : first + size] for first in range(0, len(frames), size)]

    def _batches(self, parts: list[Uint8Array]) -> list[Uint8Array]:
        """Joins consecutive parts into batches of at most `batch_frames` frames."""
        batches: list[list[Uint8Array]] = []
        room = 0
        for part in parts:
            if len(part) > room:
                batches.append([])
                room = self._batch_frames
            batches[-1].append(part)
            room -= len(part)
        return [np.concatenate(batch) if len(batch) > 1 else batch[0] for batch in batches]
