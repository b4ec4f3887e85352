"""Runs a frame network over clips: the one embedder of serving and of the indexing job."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from dubl.types import FeatureSpec, Float16Array, FrameClip, Uint8Array, VideoFeatures

logger = logging.getLogger(__name__)

DeviceChoice = Literal["auto", "cpu", "cuda"]


class FrameFeatures(Protocol):
    """Descriptors [N,D'] and region features [N,R,D] of N frames, unit length."""

    @property
    def descriptors(self) -> Tensor: ...

    @property
    def region_features(self) -> Tensor: ...


def choose_device(choice: DeviceChoice) -> torch.device:
    """The GPU where one works; says so when one was expected and is not there."""
    if choice == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda")
    level = logging.WARNING if choice == "cuda" else logging.INFO
    logger.log(level, "no usable GPU: the embedder runs on the CPU")
    return torch.device("cpu")


class TorchEmbedder:
    """Embeds clips with a network, `batch_frames` frames of any clips in one pass.

    `network` takes uint8 frames [N,H,W,3], preprocessing included, and gives FrameFeatures.
    """

    def __init__(
        self,
        network: nn.Module,
        spec: FeatureSpec,
        *,
        device: DeviceChoice = "auto",
        threads: int = 1,
        batch_frames: int = 64,
    ) -> None:
        torch.set_num_threads(threads)
        self._device = choose_device(device)
        self._network = network.to(self._device)
        self._spec = spec
        self._batch_frames = batch_frames

    @property
    def spec(self) -> FeatureSpec:
        return self._spec

    @torch.inference_mode()
    def embed(self, clips: Sequence[FrameClip]) -> list[VideoFeatures]:
        """Features of each clip, in the clips' order. All frames have the spec's size."""
        if not clips:
            return []
        started = time.perf_counter()
        frames = [part for clip in clips for part in self._parts(clip.frames)]
        results = [self._describe(batch) for batch in self._batches(frames)]
        descriptors = np.concatenate([result[0] for result in results])
        regions = np.concatenate([result[1] for result in results])
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
                    timings_ms={**clip.timings_ms, "embed": embed_ms},
                )
            )
        return features

    def _parts(self, frames: Uint8Array) -> list[Uint8Array]:
        size = self._batch_frames
        return [frames[first : first + size] for first in range(0, len(frames), size)]

    def _batches(self, parts: list[Uint8Array]) -> list[Uint8Array]:
        """Joins neighbors as long as they fit into one pass."""
        batches: list[list[Uint8Array]] = []
        room = 0
        for part in parts:
            if len(part) > room:
                batches.append([])
                room = self._batch_frames
            batches[-1].append(part)
            room -= len(part)
        return [np.concatenate(batch) if len(batch) > 1 else batch[0] for batch in batches]

    def _describe(self, frames: Uint8Array) -> tuple[Float16Array, Float16Array]:
        # Copied: frames that another process sent are read-only, which torch warns of.
        tensor = torch.from_numpy(np.array(frames, order="C")).to(self._device)
        features: FrameFeatures = self._network(tensor)
        return _half(features.descriptors), _half(features.region_features)


def _half(values: Tensor) -> Float16Array:
    result: Float16Array = values.to(torch.float16).cpu().numpy()
    return result
