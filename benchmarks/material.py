"""What benchmarks work on: a realistic clip, made-up libraries, the check path in one process."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from dubl.assembly import (
    feature_spec,
    make_decoder,
    make_embedder,
    make_evidence_store,
    make_store,
    reference_sampling,
)
from dubl.engine.in_process import InProcess
from dubl.footage.scenes import scene_frames
from dubl.index.rows import Entry
from dubl.matching.verification import correlations_of, shown_along
from dubl.media.sources import local_source
from dubl.settings import Settings, load_settings
from dubl.types import (
    FeatureSpec,
    Float16Array,
    Float32Array,
    ReferenceDraft,
    Segment,
    Uint8Array,
    Verdict,
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


LOOK_ALIKES = 20


class InProcessFlow:
    """Source → verdict by the flow of the service; decoding happens in its child process."""

    def __init__(self, settings: Settings) -> None:
        self._process = InProcess(settings)
        self._kept = make_evidence_store(settings)
        self._decoder = make_decoder(settings)

    def check(self, source: VideoSource) -> Verdict:
        return self._process.run(self._process.ask(source)).verdict

    def look_at_pixels(self, source: VideoSource, segment: Segment) -> float:
        """The pixel comparison of one doubtful match with `clip`; returns the correlation."""
        shown = shown_along(segment, "clip", self._kept)
        return correlations_of(source, {"clip": shown}, self._decoder)["clip"].value


def filled_library(name: str, clip: Path, *, references: int) -> Settings:
    """Settings of a new library: the clip itself, its pictures kept, LOOK_ALIKES that reach the
    re-ranker, and made-up videos."""
    shutil.rmtree(WORK / name, ignore_errors=True)
    settings = load_settings("configs/local.yaml", [f"data_dir={WORK / name}"])
    source = local_source(clip)
    decoded = make_decoder(settings).decode(source, sampling=reference_sampling(settings))
    (features,) = make_embedder(settings).embed([decoded])
    make_evidence_store(settings).keep_reference("clip", source, decoded)
    store = make_store(settings)
    store.register([Entry(draft=ReferenceDraft(id="clip"), source=source, features=features)])
    store.register(list(_look_alikes(features)))
    entries = list(made_entries(references - LOOK_ALIKES - 1, feature_spec(settings)))
    for first in range(0, len(entries), 100):
        store.register(entries[first : first + 100])
    store.optimize(full=True)
    return settings


def pictures(path: Path, *, rate_hz: float, side: int | None) -> Iterator[Uint8Array]:
    """Pictures decoded with PyAV at a rate, scaled to squares; of full size without `side`. Going
    through them is the least that any check must do."""
    count = 0
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        for frame in container.decode(stream):
            if frame.time is not None and frame.time >= count / rate_hz - 1e-3:
                count += 1
                yield frame.reformat(width=side, height=side, format="rgb24").to_ndarray()


def _look_alikes(features: VideoFeatures) -> Iterator[Entry]:
    rng = np.random.default_rng(1)
    for number in range(LOOK_ALIKES):
        noise = unit(rng.standard_normal(features.descriptors.shape, np.float32))
        mixed = unit(0.6 * features.descriptors.astype(np.float32) + 0.8 * noise)
        name = f"alike-{number}"
        yield Entry(
            draft=ReferenceDraft(id=name),
            source=VideoSource(path=f"/made/{name}", sha256=name, size_bytes=1, name=name),
            features=replace(features, descriptors=mixed.astype(np.float16), timings_ms={}),
        )
