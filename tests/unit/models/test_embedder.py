"""The embedder: batches over clips change nothing but the speed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dubl.models.embedder import ClipEmbedder, FrameDescriptions
from dubl.types import (
    FeatureSpec,
    FrameClip,
    SoundClip,
    SoundFeatures,
    SoundSpec,
    Uint8Array,
    VideoFacts,
)

SPEC = FeatureSpec(
    model_id="toy",
    weights_sha256="0" * 64,
    rate_hz=1.0,
    frame_size=4,
    resize="squash",
    descriptor_dims=3,
    regions=2,
    region_dims=3,
)
FACTS = VideoFacts(
    duration_s=3.0,
    width=4,
    height=4,
    rotation_deg=0,
    codec="h264",
    container="mp4",
    frame_rate_hz=25.0,
    backend="pyav",
)


class ToyNetwork:
    """Mean color; remembers the sizes of the batches it was given."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def describe(self, frames: Uint8Array) -> FrameDescriptions:
        self.batches.append(len(frames))
        colors = (frames.mean(axis=(1, 2)) / 255).astype(np.float16)
        return FrameDescriptions(colors, colors[:, None].repeat(2, axis=1))


def clip(frames: int, *, seed: int) -> FrameClip:
    rng = np.random.default_rng(seed)
    return FrameClip(
        frames=rng.integers(0, 256, (frames, 4, 4, 3), dtype=np.uint8),
        timestamps_s=np.arange(frames, dtype=np.float64),
        views=np.zeros(frames, dtype=np.uint8),
        facts=FACTS,
        timings_ms={"decode": 5.0},
    )


@pytest.mark.parametrize("batch_frames", [1, 3, 8, 100])
def test_features_do_not_depend_on_the_company_in_a_batch(batch_frames: int) -> None:
    clips = [clip(count, seed=count) for count in (5, 1, 9, 2)]
    together = ClipEmbedder(ToyNetwork(), SPEC, batch_frames=batch_frames).embed(clips)
    for one, features in zip(clips, together, strict=True):
        (alone,) = ClipEmbedder(ToyNetwork(), SPEC).embed([one])
        np.testing.assert_array_equal(features.descriptors, alone.descriptors)
        np.testing.assert_array_equal(features.region_features, alone.region_features)
        np.testing.assert_array_equal(features.timestamps_s, one.timestamps_s)


def test_no_pass_holds_more_frames_than_allowed_and_small_clips_share_one() -> None:
    network = ToyNetwork()
    embedder = ClipEmbedder(network, SPEC, batch_frames=8)
    embedder.embed([clip(3, seed=0), clip(4, seed=1), clip(17, seed=2)])
    assert sum(network.batches) == 24
    assert max(network.batches) == 8
    assert network.batches[0] == 7


def test_timings_travel_on() -> None:
    (features,) = ClipEmbedder(ToyNetwork(), SPEC).embed([clip(2, seed=0)])
    assert features.timings_ms["decode"] == 5.0
    assert features.timings_ms["embed"] > 0
    assert features.duration_s == 3.0
    assert features.spec == SPEC


def test_no_clips_give_no_features() -> None:
    assert ClipEmbedder(ToyNetwork(), SPEC).embed([]) == []


class ToyDescriber:
    """One window for each row of bands."""

    spec = SoundSpec(
        model_id="toy",
        weights_sha256="0" * 64,
        sample_rate_hz=8000,
        window_s=1.0,
        step_s=1.0,
        dims=2,
    )

    def describe(self, clip: SoundClip) -> SoundFeatures:
        count = len(clip.bands)
        return SoundFeatures(
            descriptors=np.full((count, 2), 0.5**0.5, np.float16),
            times_s=clip.start_s + np.arange(count) * clip.step_s,
            duration_s=count * clip.step_s,
            spec=self.spec,
        )


def test_sound_is_described_where_there_is_some_and_remembered_where_there_is_none() -> None:
    sound = SoundClip(bands=np.zeros((4, 3), np.uint8), step_s=1.0, start_s=0.5)
    clips = [replace(clip(2, seed=1), sound=sound), clip(3, seed=2)]
    heard, silent = ClipEmbedder(ToyNetwork(), SPEC, sound=ToyDescriber()).embed(clips)
    assert heard.sound is not None
    assert heard.sound.times_s.tolist() == [0.5, 1.5, 2.5, 3.5]
    assert silent.sound is not None
    assert silent.sound.descriptors.shape == (0, 2)
    assert ClipEmbedder(ToyNetwork(), SPEC).embed(clips)[0].sound is None
