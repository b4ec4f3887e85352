"""The check path in one process: the steps of serving, called one after another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np

from benchmarks.material import made_entries, unit
from dubl.assembly import (
    feature_spec,
    make_decoder,
    make_embedder,
    make_evidence_store,
    make_store,
    reference_sampling,
)
from dubl.engine.in_process import InProcess
from dubl.index.rows import Entry
from dubl.matching.verification import correlations_of, shown_along
from dubl.media.sources import local_source
from dubl.settings import Settings
from dubl.types import ReferenceDraft, Segment, Uint8Array, Verdict, VideoFeatures, VideoSource

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


def fill_library(settings: Settings, clip: Path, *, references: int) -> None:
    """The clip itself, its pictures kept, LOOK_ALIKES that reach the re-ranker, and made-up
    videos."""
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
