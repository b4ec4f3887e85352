"""What benchmarks work on: one realistic clip, and libraries of made-up features."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from dubl.footage.scenes import scene_frames
from dubl.index.rows import Entry
from dubl.types import (
    FeatureSpec,
    Float16Array,
    Float32Array,
    ReferenceDraft,
    VideoFeatures,
    VideoSource,
)

WORK = Path(__file__).parent.parent / "runs" / "benchmarks"
CLIP_S = 30.0
CLIP_SIZE = (1280, 720)
FRAME_RATE = 30
REFERENCE_S = 60
# Of the shipped network's descriptors of 3 800 photographs and 40 videos: the variance along the
# k-th principal axis goes as 1 / (KNEE + k); pictures of one video have the cosine VIDEO_COSINE,
# those of one shot SHOT_COSINE (medians).
SPECTRUM_KNEE = 20
VIDEO_COSINE = 0.75
SHOT_COSINE = 0.92
SHOT_S = 5


def bench_clip() -> Path:
    """A 30 s 720p H.264 clip as an encoder makes it by default (B-frames, CABAC, deblocking); made
    once, and kept."""
    path = WORK / "clip.mp4"
    if path.exists():
        return path
    WORK.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part.mp4")
    with av.open(str(partial), "w") as container:
        stream = container.add_stream("libx264", rate=FRAME_RATE)
        stream.width, stream.height = CLIP_SIZE
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "23"}
        stream.codec_context.max_b_frames = 3
        frames = scene_frames(seed=7, duration_s=CLIP_S, size=CLIP_SIZE, frame_rate=FRAME_RATE)
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame.image), format="rgb24")
            picture.pts, picture.time_base = number, Fraction(1, FRAME_RATE)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    partial.replace(path)
    return path


def made_entries(count: int, spec: FeatureSpec, *, seed: int = 0) -> Iterator[Entry]:
    """Videos of a minute each whose features are drawn like real ones."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        regions = rng.standard_normal((REFERENCE_S, spec.regions, spec.region_dims), np.float32)
        regions /= np.linalg.norm(regions, axis=-1, keepdims=True)
        features = VideoFeatures(
            descriptors=made_descriptors(REFERENCE_S, dims=spec.descriptor_dims, rng=rng),
            region_features=regions.astype(np.float16),
            timestamps_s=np.arange(REFERENCE_S, dtype=np.float64),
            views=np.zeros(REFERENCE_S, dtype=np.uint8),
            duration_s=float(REFERENCE_S),
            spec=spec,
        )
        name = f"made-{seed}-{number}"
        source = VideoSource(path=f"/made/{name}", sha256=name, size_bytes=1, name=name)
        yield Entry(draft=ReferenceDraft(id=name), source=source, features=features)


def made_descriptors(
    count: int, *, dims: int, rng: np.random.Generator, video_s: int = REFERENCE_S
) -> Float16Array:
    """Unit vectors [count,dims] of videos of `video_s` seconds, one vector a second."""
    axes = (1 / np.sqrt(SPECTRUM_KNEE + np.arange(dims))).astype(np.float32)
    shares = np.sqrt([VIDEO_COSINE, SHOT_COSINE - VIDEO_COSINE, 1 - SHOT_COSINE], dtype=np.float32)
    vectors = np.zeros((count, dims), dtype=np.float32)
    for share, length in zip(shares, (video_s, SHOT_S, 1), strict=True):
        parts = rng.standard_normal((-(-count // length), dims), np.float32) * (share * axes)
        vectors += np.repeat(parts, length, axis=0)[:count]
    return unit(vectors).astype(np.float16)


def unit(vectors: Float32Array) -> Float32Array:
    lengths: Float32Array = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: Float32Array = (vectors / lengths).astype(np.float32)
    return scaled
