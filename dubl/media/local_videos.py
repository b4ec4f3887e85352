"""Decoding and storing of uploads, which are first copied to this node."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from dataclasses import replace

from dubl.media.evidence_store import EvidenceStore
from dubl.media.fingerprints import Fingerprint
from dubl.media.sandbox import SandboxedDecoder
from dubl.media.spool import Spool
from dubl.types import FrameClip, Sampling, Thumbnails, VideoFeatures, VideoSource


class LocalVideos:
    """Decodes uploads and stores their evidence, wherever the spool is."""

    def __init__(self, decoder: SandboxedDecoder, store: EvidenceStore, spool: Spool) -> None:
        self._decoder = decoder
        self._spool = spool
        self.store = store

    def decode(
        self, source: VideoSource, *, sampling: Sampling, stopped: threading.Event | None = None
    ) -> FrameClip:
        """Raises as SandboxedDecoder.decode does, and SourceNotFound, StoreUnavailable."""
        with self._spool.local(source) as file:
            return self._decoder.decode(
                file, sampling=sampling, stopped=stopped or threading.Event()
            )

    def parts(
        self, source: VideoSource, *, sampling: Sampling, stopped: threading.Event
    ) -> Generator[FrameClip]:
        """As SandboxedDecoder.parts. Raises as `decode` does."""
        with self._spool.local(source) as file:
            yield from self._decoder.parts(file, sampling=sampling, stopped=stopped)

    def read(
        self, source: VideoSource, read: Callable[..., Fingerprint], sampling: Sampling
    ) -> VideoFeatures:
        """The features of a fingerprint. Raises as `read` does, and SourceNotFound."""
        started = time.perf_counter()
        with self._spool.local(source) as file:
            features = read(file.path, sampling=sampling).features
        elapsed_ms = (time.perf_counter() - started) * 1e3
        return replace(features, timings_ms={"decode": elapsed_ms})

    def keep_query(
        self,
        check_id: str,
        source: VideoSource,
        clip: FrameClip | Thumbnails | None,
        features: VideoFeatures,
    ) -> None:
        """Raises SourceNotFound, StoreUnavailable."""
        with self._spool.local(source) as file:
            self.store.keep_query(check_id, file, clip, features)

    def keep_reference(
        self, reference_id: str, source: VideoSource, clip: FrameClip | Thumbnails
    ) -> None:
        """Raises SourceNotFound, StoreUnavailable."""
        with self._spool.local(source) as file:
            self.store.keep_reference(reference_id, file, clip)

    def keep_again(self, earlier_id: str, check_id: str) -> None:
        """Raises StoreUnavailable."""
        self.store.keep_again(earlier_id, check_id)

    def close(self) -> None:
        self._decoder.close()
